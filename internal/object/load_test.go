package object

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the goldens and docs/objects; explain the difference in the commit")

// golden compares got with a file, or writes it with -update.
func golden(t *testing.T, file string, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test ./internal/object -update rewrites it):\n%s", file, diffLines(string(want), got))
	}
}

// diffLines shows the lines that only one of two texts has.
func diffLines(want, got string) string {
	var b strings.Builder
	one := func(sign, lines, other string) {
		for line := range strings.SplitSeq(lines, "\n") {
			if !strings.Contains("\n"+other+"\n", "\n"+line+"\n") {
				fmt.Fprintf(&b, "%s %s\n", sign, line)
			}
		}
	}
	one("-", want, got)
	one("+", got, want)
	return b.String()
}

func inputs(t *testing.T, pattern ...string) []string {
	t.Helper()
	var out []string
	for _, p := range pattern {
		files, err := filepath.Glob(p)
		if err != nil || len(files) == 0 {
			t.Fatalf("no files match %s: %v", p, err)
		}
		out = append(out, files...)
	}
	return out
}

// TestBad holds what each wrong file is told: testdata/bad/x.yaml, and x.yaml.err beside it.
func TestBad(t *testing.T) {
	for _, file := range inputs(t, "testdata/bad/*.yaml", "testdata/bad/*.json") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			set, err := Load(filepath.Base(file), data)
			if err == nil || set != nil {
				t.Fatalf("Load gave %v, %v", set, err)
			}
			golden(t, file+".err", err.Error()+"\n")
		})
	}
}

// TestGood holds the normal form of each right file, and that it loads to the same set in every form.
func TestGood(t *testing.T) {
	for _, file := range inputs(t, "testdata/good/*.yaml", "testdata/good/*.json", "../../docs/examples/*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			set, err := Load(filepath.Base(file), data)
			if err != nil {
				t.Fatal(err)
			}
			if err := set.Validate(); err != nil {
				t.Errorf("Validate refuses what Load gave: %v", err)
			}
			roundTrip(t, set)
			text := string(set.YAML(SkipDefault))
			for _, w := range set.Warnings() {
				text += "# " + w.Error() + "\n"
			}
			golden(t, filepath.Join("testdata/good", filepath.Base(file)+".want"), text)
		})
	}
}

// roundTrip checks that every form of a set loads to the set again.
func roundTrip(t *testing.T, set *Set) {
	t.Helper()
	forms := map[string][]byte{
		"full YAML": set.YAML(Full), "short YAML": set.YAML(SkipDefault),
		"full JSON": set.JSON(Full), "short JSON": set.JSON(SkipDefault),
	}
	var streamed bytes.Buffer
	if err := set.WriteJSON(&streamed, SkipDefault); err != nil {
		t.Fatal(err)
	}
	forms["streamed JSON"] = streamed.Bytes()
	for name, text := range forms {
		again, err := Load("again", text)
		if err != nil {
			t.Fatalf("%s does not load: %v\n%s", name, err, text)
		}
		if !reflect.DeepEqual(again, set) {
			t.Fatalf("%s loads to another set:\n%s", name, diffLines(string(set.YAML(Full)), string(again.YAML(Full))))
		}
	}
}

// FuzzLoad asserts that nothing panics, that a refusal names the file, and that what is accepted loads again from
// every form in which it is printed.
func FuzzLoad(f *testing.F) {
	for _, dir := range []string{"testdata/good", "testdata/bad", "../../docs/examples"} {
		files, _ := filepath.Glob(dir + "/*.[yj]*")
		for _, file := range files {
			if data, err := os.ReadFile(file); err == nil && len(data) < 4096 && !strings.Contains(file, "bomb") {
				f.Add(data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		set, err := Load("f", data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") {
				t.Fatalf("an error without the file's name: %v", err)
			}
			return
		}
		if err := set.Validate(); err != nil {
			t.Fatalf("Validate refuses what Load gave: %v", err)
		}
		_ = set.Warnings()
		roundTrip(t, set)
	})
}

func manyServers(n int) []byte {
	var b strings.Builder
	b.WriteString("Pool:\n- name: many\n  servers:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - ip: {addr: 10.%d.%d.%d, type: V4}\n    port: %d\n    ratio: %d\n", i>>16, i>>8&255, i&255, 5060, 1+i%20)
	}
	return []byte(b.String())
}

// cpuTime is what the process has used: unlike the clock it does not mind who else is on the machine.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestManyServers loads the largest pool. The bound is several times what it takes, and the best of five counts.
func TestManyServers(t *testing.T) {
	data := manyServers(10_000)
	best := time.Hour
	for range 5 {
		start := cpuTime(t)
		set, err := Load("many", data)
		best = min(best, cpuTime(t)-start)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(set.Pools[0].Servers); n != 10_000 {
			t.Fatalf("%d servers", n)
		}
	}
	if best > 300*time.Millisecond && !raceEnabled {
		t.Errorf("10,000 servers take %v to load and check", best)
	}
	_, err := Load("many", manyServers(10_001))
	if err == nil || !strings.Contains(err.Error(), "10001 items: must be 0 to 10000") {
		t.Errorf("10,001 servers: %v", err)
	}
}

func BenchmarkLoad10000Servers(b *testing.B) {
	data := manyServers(10_000)
	for b.Loop() {
		if _, err := Load("many", data); err != nil {
			b.Fatal(err)
		}
	}
}

func TestErrorsAreBounded(t *testing.T) {
	data := strings.ReplaceAll(string(manyServers(1000)), "ratio: ", "ratio: 1000")
	_, err := Load("many", []byte(data))
	if err == nil || strings.Count(err.Error(), "\n") != maxFaults || !strings.HasSuffix(err.Error(), "and 900 more") {
		t.Errorf("%.300s", err)
	}
}

func TestErrorHasPlace(t *testing.T) {
	_, err := Load("lb.yaml", []byte("Pool:\n- name: edge\n  servers:\n  - ip: 10.0.0.1\n    port: 70000\n"))
	var fe *FieldError
	if !errors.As(err, &fe) {
		t.Fatalf("%T", err)
	}
	want := FieldError{File: "lb.yaml", Line: 5, Column: 11, Object: "Pool/edge", Path: "servers[0].port",
		Msg: "70000 is out of range: must be 0 to 65535 (0 takes default_server_port)"}
	if *fe != want {
		t.Errorf("got %+v\nwant %+v", *fe, want)
	}
}

func TestTooLarge(t *testing.T) {
	_, err := Load("big", make([]byte, maxFileBytes+1))
	if err == nil || err.Error() != "big: larger than 16 MB" {
		t.Error(err)
	}
	_, err = Decode("pool", []byte(`{"name": "`+strings.Repeat("x", maxFileBytes)+`"}`))
	if err == nil || err.Error() != "Pool: larger than 16 MB" {
		t.Error(err)
	}
}

// FuzzPrint asserts that a set built in Go that Validate lets pass loads again from every form in which it is
// printed, whatever its texts are.
func FuzzPrint(f *testing.F) {
	for _, text := range []string{"", "a", "true", "~", "1e3", "0x1", "<<", "- a: b", "a #b", " a", "a\n\n b\n", "\r\n\t", "\u2028\u0085\ufeff", "'\"\\", "2024-01-01", "=", "%&*!|>@`", "\x00\x1f\x7f", "\U0010ffff"} {
		f.Add("n"+text, text, `{"a": [1.50, -0, 1e400, "`+strings.Trim(text, "\\\"'\n\r\x00\x1f")+`"]}`)
	}
	f.Fuzz(func(t *testing.T, name, text, kept string) {
		p := New[Pool](name)
		p.Description = text
		if set, err := Load("kept", []byte(`{"Pool": [{"name": "p", "fail_action": `+kept+`}]}`)); err == nil {
			p.Kept = set.Pools[0].Kept
		}
		m := New[HealthMonitor](name)
		m.Type, m.SIPMonitor.SIPResponse, m.SIPMonitor.SIPHeaders = MonitorSIP, text, []string{"X:" + text}
		set := &Set{Pools: []*Pool{&p}, HealthMonitors: []*HealthMonitor{&m}}
		if err := set.Validate(); err != nil {
			m.SIPMonitor.SIPHeaders = nil
			if set.Validate() != nil {
				return
			}
		}
		roundTrip(t, set)
	})
}
