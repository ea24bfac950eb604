package view

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// Progress is one line of a terminal that says how far something is that takes long. What is quick never shows it, and
// elsewhere than on a terminal there is none.
type Progress struct {
	out   io.Writer
	width func() int
	stop  chan struct{}
	wg    sync.WaitGroup

	mu    sync.Mutex // guards what follows
	words string
	began time.Time // of what words say
	shown bool
}

const (
	// progressAfter is how long something may take before anything is shown of it.
	progressAfter = 400 * time.Millisecond
	// progressEvery is the time between two looks.
	progressEvery = 100 * time.Millisecond
)

// NewProgress begins. It does nothing unless w is a terminal with a cursor.
func NewProgress(w io.Writer) *Progress {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return &Progress{}
	}
	p := &Progress{out: f, width: NewScreen(f).Width, stop: make(chan struct{})}
	p.wg.Go(func() { p.run(time.Now()) })
	return p
}

// On reports whether anybody sees it.
func (p *Progress) On() bool { return p.out != nil }

// Say says what is done now. A number at its end, of how much is done, may change without beginning its time anew.
func (p *Progress) Say(what string, how string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !strings.HasPrefix(p.words, what+":") {
		p.began = time.Now()
	}
	p.words = what + ": " + fmt.Sprintf(how, args...)
}

// Hide takes the line away until the next Say.
func (p *Progress) Hide() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.words = ""; p.shown {
		p.shown = false
		p.write("")
	}
}

// End takes the line away. It may be called again.
func (p *Progress) End() {
	if p.stop == nil {
		return
	}
	close(p.stop)
	p.wg.Wait()
	p.stop = nil
	p.Hide()
}

func (p *Progress) run(since time.Time) {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			return
		case now := <-tick.C:
			if now.Sub(since) < progressAfter {
				continue
			}
			p.mu.Lock()
			words := p.words
			if words != "" {
				words += fmt.Sprintf(", %.1f s", now.Sub(p.began).Seconds())
				p.shown = true
				p.write(words)
			}
			p.mu.Unlock()
		}
	}
}

// write puts words in the place of those before.
func (p *Progress) write(words string) {
	if w := p.width(); w > 1 {
		words = text.Snip(words, w-1, "~") // in the last column some terminals go on to the next line
	}
	_, _ = io.WriteString(p.out, "\r\x1b[K"+words) // a terminal that has gone
}

// phases are those of a controller that changes many objects, in words.
var phases = map[string]string{"read": "The controller reads", "plan": "The controller plans", "check": "The controller checks", "store": "The controller stores"}

// Sent says how much of a request has left.
func (p *Progress) Sent(done, of int64) { p.Say("Sending", "%s of %s", megabytes(done), megabytes(of)) }

// Phase says how far a controller is.
func (p *Progress) Phase(phase string, done, of int) {
	what, known := phases[phase]
	if !known {
		what = "The controller works (" + phase + ")"
	}
	if done == 0 {
		p.Say(what, "%s", Count(of, "object"))
		return
	}
	p.Say(what, "%s of %s", Thousands(done), Count(of, "object"))
}

// Received says how much of an answer is here.
func (p *Progress) Received(done, of int64) {
	if of > 0 {
		p.Say("Receiving", "%s of %s", megabytes(done), megabytes(of))
		return
	}
	p.Say("Receiving", "%s", megabytes(done))
}

// Thousands is a number as people read it: 12,345.
func Thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Count is a number of things.
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return Thousands(n) + " " + what + "s"
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
