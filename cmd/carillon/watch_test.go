package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// tree makes files with their contents, and links, which begin with "-> ".
func tree(t *testing.T, entries ...string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(entries); i += 2 {
		put(t, dir, entries[i], entries[i+1])
	}
	return dir
}

// put makes one entry in the place of what was there, by a rename.
func put(t *testing.T, dir, name, what string) {
	t.Helper()
	name = filepath.Join(dir, name)
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil && len(what) > 3 && what[:3] == "-> " {
		err = os.Symlink(what[3:], name+".new")
	} else if err == nil {
		err = os.WriteFile(name+".new", []byte(what), 0o644)
	}
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A change is noticed whichever link on the way to the file it is made at, and again
// after it has changed the way.
func TestWatchFollowsLinks(t *testing.T) {
	type step struct{ name, what string }
	for name, c := range map[string]struct {
		entries []string
		file    string
		steps   []step
	}{
		"plain":               {[]string{"lb.yaml", "1"}, "lb.yaml", []step{{"lb.yaml", "2"}, {"lb.yaml", "3"}}},
		"a link to a folder":  {[]string{"v1/lb.yaml", "1", "v2/lb.yaml", "2", "cur", "-> v1"}, "cur/lb.yaml", []step{{"cur", "-> v2"}, {"v2/lb.yaml", "3"}, {"cur", "-> v1"}}},
		"a link to elsewhere": {[]string{"v1/lb.yaml", "1", "etc/lb.yaml", "-> ../v1/lb.yaml"}, "etc/lb.yaml", []step{{"v1/lb.yaml", "2"}, {"etc/lb.yaml", "-> ../v2.yaml"}, {"v2.yaml", "3"}}},
		"a ConfigMap": {[]string{"m/..1/lb.yaml", "1", "m/..2/lb.yaml", "2", "m/..data", "-> ..1", "m/lb.yaml", "-> ..data/lb.yaml", "lb.yaml", "-> m/lb.yaml"},
			"lb.yaml", []step{{"m/..data", "-> ..2"}, {"m/..2/lb.yaml", "3"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := tree(t, c.entries...)
			changed, err := watch(t.Context(), filepath.Join(dir, c.file))
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range c.steps {
				put(t, dir, s.name, s.what)
				select {
				case <-changed:
				case <-time.After(20 * time.Second):
					t.Fatalf("%s %s was not noticed", s.name, s.what)
				}
			}
		})
	}
}

// What happens beside the file is none of its changes, and links in a ring have an end.
func TestWay(t *testing.T) {
	dir := tree(t, "a/b/lb.yaml", "1", "x", "-> a", "a/c", "-> "+"./b/../b", "ring", "-> ring")
	for file, want := range map[string][]string{
		"a/b/lb.yaml":     {"a/b/lb.yaml"},
		"x/c/lb.yaml":     {"x", "a/c", "a/b/lb.yaml"},
		"x/missing/l.yml": {"x", "a/missing"},
	} {
		for i := range want {
			want[i] = filepath.Join(dir, want[i])
		}
		if got := way(filepath.Join(dir, file)); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", file, got, want)
		}
	}
	if n := len(way(filepath.Join(dir, "ring"))); n != maxLinks+1 {
		t.Errorf("a ring of links: %d names", n)
	}
}
