package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/carillon-sip/carillon/internal/catalog"
	"github.com/carillon-sip/carillon/internal/store"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"carillon": main})
}

// TestScripts runs testdata/script: each with a controller of its own, empty, whose certificate is trusted by its file.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, Setup: controllerFor,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "damage": damage}})
}

// exits CODE PROGRAM ARGS... runs a program and wants that exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		code = ended.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// damage KIND UUID TEXT puts a text where the record of an object is.
func damage(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: damage KIND UUID TEXT")
	}
	cp := ts.Value("controller").(*controlPlane)
	rev, _, err := ts.Value("store").(*store.Store).Commit(context.Background(), store.Txn{Put: []store.KV{{Key: catalog.Key(args[0], args[1]), Value: []byte(args[2])}}})
	ts.Check(err)
	for end := time.Now().Add(10 * time.Second); cp.View().Revision < rev; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("the controller does not follow")
		}
	}
}

func controllerFor(env *testscript.Env) error {
	data, password := filepath.Join(env.WorkDir, "data"), filepath.Join(env.WorkDir, "password")
	if err := os.WriteFile(password, []byte("a good password\n"), 0o600); err != nil {
		return err
	}
	sf := &storeFlags{where: storeEmbedded, data: data}
	log := slog.New(slog.DiscardHandler)
	st, err := sf.open(env.T().(testing.TB).Context(), log)
	if err != nil {
		return err
	}
	cp, err := startController(env.T().(testing.TB).Context(), st, sf, &apiFlags{addr: "127.0.0.1:0", passwordFile: password}, nil, log, nil)
	if err != nil {
		return err
	}
	env.Values["store"], env.Values["controller"] = st, cp
	env.Defer(func() {
		cp.stop()
		if err := st.Close(); err != nil {
			env.T().Log(err)
		}
	})
	for name, value := range map[string]string{"CARILLON_SERVER": cp.api.URL(), "CARILLON_PASSWORD": "a good password", "CARILLON_DATA": data,
		"CARILLON_CONFIG": filepath.Join(env.WorkDir, "config.yaml"), "FINGERPRINT": cp.api.Fingerprint()} {
		env.Setenv(name, value)
	}
	return nil
}
