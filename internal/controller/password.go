package controller

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Cost of a password's hash: OWASP's second choice for Argon2id (19 MiB, two passes, one lane), some 25 ms.
const (
	argonMemoryKB = 19 << 10
	argonPasses   = 2
	argonLanes    = 1
	argonKey      = 32
	argonSalt     = 16
)

// MinPassword is the least length of a password in characters.
const MinPassword = 8

// maxPassword bounds what is hashed.
const maxPassword = 1024

// HashPassword makes what is stored of a password: Argon2id in the usual encoding ($argon2id$v=19$m=...,t=...,p=...$salt$key).
func HashPassword(password string) string {
	salt := randomOctets(argonSalt)
	return encodeHash(salt, argon2.IDKey([]byte(password), salt, argonPasses, argonMemoryKB, argonLanes, argonKey))
}

// noHash is a hash that no password is known for: checking one against it takes as long as any. It is not computed, which would
// cost every start of the program 25 ms and 19 MiB.
var noHash = encodeHash(randomOctets(argonSalt), randomOctets(argonKey))

func randomOctets(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand
	return b
}

func encodeHash(salt, key []byte) string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemoryKB, argonPasses, argonLanes, b64(salt), b64(key))
}

// IsHash reports whether a text is a hash that checkPassword understands: one of ours, or bcrypt's from elsewhere.
func IsHash(text string) bool {
	if _, _, _, ok := parseArgon(text); ok {
		return true
	}
	_, err := bcrypt.Cost([]byte(text))
	return err == nil
}

// checkPassword reports whether a password is the one of a hash.
func checkPassword(hash, password string) bool {
	if len(password) > maxPassword {
		return false
	}
	if p, salt, key, ok := parseArgon(hash); ok {
		got := argon2.IDKey([]byte(password), salt, p.passes, p.memoryKB, p.lanes, uint32(len(key)))
		return subtle.ConstantTimeCompare(got, key) == 1
	}
	return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
}

type argonCost struct {
	memoryKB, passes uint32
	lanes            uint8
}

// parseArgon reads a hash. Costs beyond what a login may take are refused.
func parseArgon(text string) (c argonCost, salt, key []byte, ok bool) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return c, nil, nil, false
	}
	var version int
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return c, nil, nil, false
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memoryKB, &c.passes, &c.lanes); err != nil {
		return c, nil, nil, false
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return c, nil, nil, false
	}
	key, err = base64.RawStdEncoding.DecodeString(parts[5])
	good := err == nil && len(key) >= 16 && len(key) <= 64 && c.memoryKB <= 256<<10 && c.passes >= 1 && c.passes <= 16 && c.lanes >= 1
	return c, salt, key, good
}
