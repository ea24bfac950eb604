// Package house holds the plan of the house as a test: imports go down, never
// sideways, and rooms stay small. ARCHITECTURE.md draws it; a new package gets a
// floor here and a line there. It is widened only with a decision record.
package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/carillon-sip/carillon/"

// floors: a package may import packages of lower floors only.
var floors = map[string]int{
	"internal/sip":            0,
	"internal/consistenthash": 0,
	"internal/token":          0,
	"internal/aged":           0,
	"internal/metric":         0,
	"internal/object":         0,
	"internal/alloctest":      0,
	"internal/stun":           0,
	"internal/selfsigned":     0,
	"internal/report":         0,
	"internal/handover":       0,
	"internal/client":         1,
	"internal/identity":       1,
	"internal/view":           1,
	"internal/store":          1,
	"internal/transport":      1,
	"internal/balance":        1,
	"internal/catalog":        2,
	"internal/controller":     5,
	"internal/rest":           6,
	"internal/agent":          6,
	"internal/openapi":        1,
	"internal/quick":          1,
	"internal/shell":          6,
	"internal/cli":            6,
	"internal/eyes":           6,
	"internal/patch":          1,
	"internal/snapshot":       2,
	"internal/proxy":          3,
	"internal/tap":            3,
	"internal/health":         3,
	"internal/explain":        4,
	"internal/engine":         5,
	"internal/exporter":       6,
	"internal/demo/ua":        6, // user agents; stand beside the house and know none of it
	"internal/demo":           7,
	"cmd/carillon":            8,
}

// outside are folders of programs and tests around the house, which may look at
// any of it and which nothing in it may import.
var outside = []string{"bench", "e2e", "internal/house"}

// Sizes, in lines without tests. Aim for half.
const (
	maxFunc    = 70
	maxFile    = 800
	maxPackage = 6000
)

// wider are rooms that a decision record lets be larger.
var wider = map[string]int{"internal/engine": 6300, "internal/object": 6500} // ADR 12

// forbidden imports, with the reason. The message path is sip, token, aged,
// balance, snapshot, proxy and engine.
var forbidden = map[string]map[string]string{
	"internal/sip":    {"net": "it knows no sockets", "time": "it knows no clock", "fmt": "it allocates"},
	"internal/proxy":  {"net": "it knows no sockets", "log/slog": "the message path does not log", "fmt": "it allocates"},
	"internal/object": {"net": "objects are values", "os": "it reads no files"},
	"internal/engine": {"net/http": "faces are above", "github.com/emiago/sipgo": "never on the message path"},
}

func TestFloors(t *testing.T) {
	root := "../.."
	each(t, root, func(dir, file string, f *ast.File) {
		if isOutside(dir) {
			return
		}
		floor, known := floors[dir]
		if !known {
			t.Errorf("%s: the package %s has no floor: give it one in internal/house and a line in ARCHITECTURE.md", file, dir)
			return
		}
		for _, im := range f.Imports {
			path := strings.Trim(im.Path.Value, `"`)
			if why, no := forbidden[dir][path]; no {
				t.Errorf("%s imports %s: %s", file, path, why)
			}
			to, ours := strings.CutPrefix(path, module)
			if !ours {
				continue
			}
			if isOutside(to) || floors[to] >= floor {
				t.Errorf("%s (floor %d) imports %s (floor %d): imports go down, never sideways", file, floor, to, floors[to])
			}
		}
	})
	for dir := range floors {
		if _, err := os.Stat(filepath.Join(root, dir)); err != nil {
			t.Errorf("%s has a floor but is not there", dir)
		}
	}
}

func TestSizes(t *testing.T) {
	packages := map[string]int{}
	fset := token.NewFileSet()
	walk(t, "../..", func(path, dir string) {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Count(string(src), "\n")
		packages[dir] += lines
		if lines > maxFile {
			t.Errorf("%s has %d lines, more than %d: is there a second noun in it?", path, lines, maxFile)
		}
		f, err := parser.ParseFile(fset, path, src, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1
			if n > maxFunc {
				t.Errorf("%s: %s has %d lines, more than %d", path, fn.Name.Name, n, maxFunc)
			}
		}
	})
	for dir, n := range packages {
		if most := max(maxPackage, wider[dir]); n > most {
			t.Errorf("%s has %d lines, more than %d", dir, n, most)
		}
	}
}

func isOutside(dir string) bool {
	for _, o := range outside {
		if dir == o || strings.HasPrefix(dir, o+"/") {
			return true
		}
	}
	return false
}

func each(t *testing.T, root string, visit func(dir, file string, f *ast.File)) {
	fset := token.NewFileSet()
	walk(t, root, func(path, dir string) {
		f, err := parser.ParseFile(fset, path, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		visit(dir, path, f)
	})
}

// walk visits the Go files of the project that are no tests.
func walk(t *testing.T, root string, visit func(path, dir string)) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		visit(path, filepath.ToSlash(dir))
		return nil
	})
	if err != nil {
		t.Fatal(fmt.Errorf("walk: %w", err))
	}
}
