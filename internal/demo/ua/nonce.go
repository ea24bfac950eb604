package ua

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// Nonces makes and checks the nonces of digest challenges without keeping any: a nonce is the second it was made in,
// some noise and a keyed hash of both. Servers that share one accept each other's nonces. A server with its own accepts
// only what it made, so a REGISTER gets through only when challenge and credentials meet the same server: that is how
// the demonstration shows that a balancer keeps a Call-ID where it is.
type Nonces struct{ key [32]byte }

// nonceLife bounds how long a nonce may be answered, and so how long a captured answer may be sent again.
const nonceLife = 30 * time.Second

const nonceSealBytes = 12

// NewNonces makes a maker with a random key.
func NewNonces() *Nonces {
	n := new(Nonces)
	_, _ = rand.Read(n.key[:]) // never fails: crypto/rand
	return n
}

func (n *Nonces) make(now time.Time) string {
	var b [12]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.Unix()))
	_, _ = rand.Read(b[8:])
	return base64.RawURLEncoding.EncodeToString(n.seal(b[:]))
}

// fresh reports whether n made the nonce, and not longer than nonceLife ago.
func (n *Nonces) fresh(nonce string, now time.Time) bool {
	b, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(b) != 12+nonceSealBytes || !hmac.Equal(n.seal(b[:12:12]), b) {
		return false
	}
	age := now.Sub(time.Unix(int64(binary.BigEndian.Uint64(b[:8])), 0))
	return age >= -time.Second && age <= nonceLife
}

func (n *Nonces) seal(b []byte) []byte {
	h := hmac.New(sha256.New, n.key[:])
	h.Write(b)
	return append(b, h.Sum(nil)[:nonceSealBytes]...)
}
