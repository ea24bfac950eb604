package agent

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/carillon-sip/carillon/internal/object"
)

// lastGoodFormat is the version of the file. Newer ones are not read.
const lastGoodFormat = 1

// Limits of writing the last good configuration: after each time there is a pause of keepEvery at least, and of
// keepShare times what it took, but no longer than keepLatest. So with thousands of objects that change all the time it
// takes at most two hundredths of a CPU.
const (
	keepEvery  = 2 * time.Second
	keepShare  = 50
	keepLatest = 30 * time.Second
)

// lastGood is the file of the last good configuration.
type lastGood struct {
	Format   int    `json:"format"`
	Version  string `json:"version"` // of carillon
	Revision int64  `json:"revision"`
	Secret   string `json:"secret"` // hex
	Objects  string `json:"objects,omitzero"`
	Sum      string `json:"sha256,omitzero"` // of Objects, hex
}

// kept is a configuration that is to be written.
type kept struct {
	set      *object.Set
	revision int64
	secret   []byte
}

func (a *Agent) file(name string) string {
	return filepath.Join(a.cfg.Dir, "engine-"+strings.ReplaceAll(a.cfg.Name, "/", "_")+"."+name)
}

// keep has a configuration written soon.
func (a *Agent) keep(set *object.Set, revision int64, secret []byte) {
	select {
	case <-a.toKeep:
	default:
	}
	a.toKeep <- kept{set, revision, secret} // only work puts in, so there is room
}

// keeper writes what keep was given, the newest only.
func (a *Agent) keeper(ctx context.Context) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			select {
			case k := <-a.toKeep:
				a.write(k)
			default:
			}
			return
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			pause.Reset(0)
		case k := <-a.toKeep:
			began := time.Now()
			a.write(k)
			pause.Reset(min(max(keepEvery, keepShare*time.Since(began)), keepLatest))
		}
	}
}

// write puts a configuration on disk: whole or not at all.
func (a *Agent) write(k kept) {
	if a.cfg.Dir == "" {
		return
	}
	err := writeWhole(a.file("last-good.json"), func(w io.Writer) error {
		head, err := json.Marshal(lastGood{Format: lastGoodFormat, Version: a.cfg.Version, Revision: k.revision, Secret: hex.EncodeToString(k.secret)})
		if err != nil {
			return err
		}
		text := textWriter{to: w, sum: sha256.New()}
		_, err = w.Write(append(bytes.TrimSuffix(head, []byte("}")), `,"objects":"`...))
		err = errors.Join(err, k.set.WriteJSON(&text, object.SkipDefault))
		_, last := fmt.Fprintf(w, `","sha256":"%x"}`, text.sum.Sum(nil))
		return errors.Join(err, last)
	})
	if err != nil {
		a.log.Warn("the last good configuration could not be written: a start without the store would use an older one", "error", err)
	}
}

// textWriter writes what it gets as a part of a string of JSON, and sums it up. It must get UTF-8.
type textWriter struct {
	to  io.Writer
	sum hash.Hash
	out []byte // of the last part, to be used again
}

func (t *textWriter) Write(p []byte) (int, error) {
	t.sum.Write(p)
	t.out = t.out[:0]
	for _, c := range p {
		switch {
		case c < ' ':
			t.out = fmt.Appendf(t.out, `\u%04x`, c)
		case c == '"' || c == '\\':
			t.out = append(t.out, '\\', c)
		default:
			t.out = append(t.out, c)
		}
	}
	_, err := t.to.Write(t.out)
	return len(p), err
}

// writeWhole writes a file so that it is there whole, or as it was.
func writeWhole(name string, content func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".tmp-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone already if all went well
	w := bufio.NewWriterSize(tmp, 64<<10)
	if err = errors.Join(content(w), w.Flush(), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}

// load reads the last good configuration. A file that cannot be used is set aside, for people to look at.
func (a *Agent) load() (start, error) {
	if a.cfg.Dir == "" {
		return start{}, errors.New("no directory to keep it in was given")
	}
	name := a.file("last-good.json")
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return start{}, fmt.Errorf("%s is not there", name)
	}
	if err != nil {
		return start{}, err
	}
	s, err := read(data)
	if err != nil {
		aside := name + ".bad"
		if moveErr := os.Rename(name, aside); moveErr == nil {
			return start{}, fmt.Errorf("%s: %w; it was moved to %s", name, err, aside)
		}
		return start{}, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

func read(data []byte) (start, error) {
	var f lastGood
	if err := json.Unmarshal(data, &f); err != nil {
		return start{}, fmt.Errorf("it is damaged: %w", err)
	}
	if f.Format > lastGoodFormat {
		return start{}, fmt.Errorf("it was made by a newer carillon, %s", f.Version)
	}
	sum := sha256.Sum256([]byte(f.Objects))
	if hex.EncodeToString(sum[:]) != f.Sum {
		return start{}, errors.New("it is damaged: its checksum is wrong")
	}
	secret, err := hex.DecodeString(f.Secret)
	if err != nil {
		return start{}, fmt.Errorf("it is damaged: %w", err)
	}
	set, err := object.Load("", []byte(f.Objects))
	if strings.TrimSpace(f.Objects) == "{}" {
		set, err = &object.Set{}, nil
	}
	if err != nil {
		return start{}, err
	}
	return start{set: set, revision: f.Revision, secret: secret}, nil
}

// identity is the engine's uuid: the same for as long as its directory is.
func (a *Agent) identity() string {
	if a.cfg.Dir == "" {
		return newIdentity()
	}
	name := a.file("uuid")
	if data, err := os.ReadFile(name); err == nil && strings.HasPrefix(string(data), "se-") {
		return strings.TrimSpace(string(data))
	}
	id := newIdentity()
	if err := writeWhole(name, func(w io.Writer) error { _, err := io.WriteString(w, id+"\n"); return err }); err != nil {
		a.log.Warn("the engine's uuid could not be written: it will have another one after a restart", "error", err)
	}
	return id
}
