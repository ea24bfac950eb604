package health

import "fmt"

// Code says how one check ended, or why a server is in its state. The words are those of Avi's events, so that its users and
// tools know them; the two that Avi lacks say so.
type Code uint8

const (
	// Success: the check passed.
	Success Code = iota
	// NoResponse: nothing that could be matched to the probe came within receive_timeout.
	NoResponse
	// PortUnreachable: an ICMP port unreachable came back for the probe. The check fails at once.
	PortUnreachable
	// ServerUnreachable: no route, or ICMP host, network or administratively unreachable and then no answer.
	ServerUnreachable
	// ResponseCodeMismatch: the final SIP response has a status outside sip_response_codes.
	ResponseCodeMismatch
	// PayloadContentMismatch: the expected text is not in what was answered.
	PayloadContentMismatch
	// PayloadTimeout: connected, but what should have been read did not come, or not all of it, within receive_timeout.
	PayloadTimeout
	// MaintenanceMatch: the answer holds the text by which the server takes itself out.
	MaintenanceMatch
	// ConnectionRefused: RST to the SYN.
	ConnectionRefused
	// ConnectionTimeout: no answer to the SYN within receive_timeout.
	ConnectionTimeout
	// ConnectionReset: the connection was reset, or closed before the expected text.
	ConnectionReset
	// ConnectionError: any other failure of the connection.
	ConnectionError
	// SSLError: TLS could not be agreed on, or the certificate is not one to trust, or names somebody else.
	SSLError
	// ProbeNotSent (not Avi's): this machine could not probe at all: no right to ICMP sockets, no file descriptors, no buffers, local
	// address not there. It says nothing about the server and moves no state.
	ProbeNotSent
	// NoMonitor (not Avi's; only a server's reason): no monitor watches the server, which is up for lack of anything else known.
	NoMonitor
	// NotSettled (not Avi's; only a server's reason): the first checks have not settled the state yet.
	NotSettled
	// InsufficientMonitorsUp (only a server's reason): some monitors pass, but fewer than min_health_monitors_up.
	InsufficientMonitorsUp

	numCodes = int(InsufficientMonitorsUp) + 1
)

var codeWords = [numCodes]string{
	Success: "SUCCESS", NoResponse: "NO_RESPONSE", PortUnreachable: "PORT_UNREACHABLE", ServerUnreachable: "SERVER_UNREACHABLE",
	ResponseCodeMismatch: "RESPONSE_CODE_MISMATCH", PayloadContentMismatch: "PAYLOAD_CONTENT_MISMATCH", PayloadTimeout: "PAYLOAD_TIMEOUT",
	MaintenanceMatch:  "MAINTENANCE_PAYLOAD_CONTENT_MATCH",
	ConnectionRefused: "CONNECTION_REFUSED", ConnectionTimeout: "CONNECTION_TIMEOUT", ConnectionReset: "CONNECTION_RESET",
	ConnectionError: "CONNECTION_ERROR", SSLError: "SSL_ERROR", ProbeNotSent: "PROBE_NOT_SENT", NoMonitor: "NO_MONITOR", NotSettled: "NOT_SETTLED",
	InsufficientMonitorsUp: "INSUFFICIENT_HEALTH_MONITORS_UP",
}

// String returns the word of c.
func (c Code) String() string {
	if int(c) < numCodes {
		return codeWords[c]
	}
	return fmt.Sprintf("CODE_%d", uint8(c))
}

// MarshalText writes the word of c.
func (c Code) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads the word of a code; any other text is an error.
func (c *Code) UnmarshalText(text []byte) error {
	for i, w := range codeWords {
		if w == string(text) {
			*c = Code(i)
			return nil
		}
	}
	return fmt.Errorf("health code %q: no such code", text)
}

// State is what is known of a server, or of a server under one monitor.
type State uint8

const (
	// Unknown: no state has been settled yet.
	Unknown State = iota
	// Up: successful_checks checks in a row have passed since it was last anything else.
	Up
	// Down: failed_checks checks in a row have failed since it was last anything else.
	Down
)

var stateWords = [...]string{Unknown: "OPER_UNKNOWN", Up: "OPER_UP", Down: "OPER_DOWN"}

// String returns Avi's word of s: OPER_UP, OPER_DOWN or OPER_UNKNOWN.
func (s State) String() string {
	if int(s) < len(stateWords) {
		return stateWords[s]
	}
	return fmt.Sprintf("STATE_%d", uint8(s))
}

// MarshalText writes the word of s.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word of a state; any other text is an error.
func (s *State) UnmarshalText(text []byte) error {
	for i, w := range stateWords {
		if w == string(text) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("health state %q: no such state", text)
}
