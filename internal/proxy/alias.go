package proxy

import (
	"bytes"

	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// aliasTo asks a server to send its requests on the connection that this one comes on (RFC 5923): over TLS, where we show a
// certificate by which it can tell who we are.
func aliasTo(face *snapshot.Face, sv *snapshot.Server) bool {
	return face.Transport == sip.TLS && sv.Pool.TLS != nil && len(sv.Pool.TLS.Config.Certificates) > 0
}

// Alias is the port of a request's sender, to which requests may go on the connection that it came on, if it asks for that
// (RFC 5923 section 8.1); 0: it does not.
func Alias(m *sip.Msg) uint16 {
	if m.Err != sip.NoFault || !m.IsRequest {
		return 0
	}
	via := &m.Via[0]
	_, params, _ := bytes.Cut(m.Bytes(via.Text), []byte{';'})
	switch {
	case !hasParam(params, "alias"):
		return 0
	case via.Port == 0:
		return sip.TLS.DefaultPort()
	}
	return via.Port
}
