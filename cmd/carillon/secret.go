package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/carillon-sip/carillon/internal/client"
)

// minSecret is the least length of a secret, in octets.
const minSecret = 16

// loadSecret reads the secret, or makes one at the first start. Without a place to
// keep it, calls do not survive a restart: their tokens are sealed with it.
func loadSecret(file string, log *slog.Logger) ([]byte, error) {
	named := file != ""
	if !named {
		file = filepath.Join(stateDir(), "secret")
	}
	secret, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && !named {
		secret = make([]byte, 32)
		rand.Read(secret)
		err = writeSecret(file, secret)
		if errors.Is(err, fs.ErrExist) { // another start was faster
			secret, err = os.ReadFile(file)
		} else if err != nil {
			log.Warn("the secret of tokens and placement can't be kept: dialogs will not survive a restart; give --secret-file", "error", err)
			return secret, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("secret: %w (make one with: head -c 32 /dev/urandom > %s)", err, file)
	}
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	if len(secret) < minSecret {
		return nil, fmt.Errorf("secret: %s has %d octets, must have at least %d (make one with: head -c 32 /dev/urandom > %s)", file, len(secret), minSecret, file)
	}
	return secret, nil
}

// writeSecret writes the whole file or none of it.
func writeSecret(file string, secret []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".secret-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.Write(secret); err != nil {
		tmp.Close()
		return err
	}
	if err := errors.Join(tmp.Chmod(0o600), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Link(tmp.Name(), file)
}

// stateDir is where state is kept when --data does not say.
func stateDir() string { return client.StateDir() }
