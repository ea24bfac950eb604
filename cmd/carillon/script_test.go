package main

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"carillon": main})
}

// TestScripts runs testdata/script: each with a controller of its own, empty, whose certificate is trusted by its file.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true, Setup: controllerFor,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits}})
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
