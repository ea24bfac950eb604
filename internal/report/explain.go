package report

import (
	"net/netip"
	"time"
)

// ExplainRequest asks which way a message would go.
type ExplainRequest struct {
	Service string `json:"service,omitempty"` // name or uuid of the virtual service, or an address it listens on; empty: the message tells
	Message string `json:"message,omitempty"` // as it is on the wire; line ends may be LF alone
	CallID  string `json:"call_id,omitempty"` // to ask for, without a message
	// Source is where the message comes from; the zero value: where its top Via says.
	Source netip.AddrPort `json:"source,omitzero"`
}

// Explanation is the way that a message would go, and why.
type Explanation struct {
	Engine     string         `json:"engine,omitempty"`
	At         time.Time      `json:"at"`
	Summary    string         `json:"summary"` // the whole in a sentence
	Service    string         `json:"virtual_service,omitempty"`
	UUID       string         `json:"virtual_service_uuid,omitempty"`
	Listener   string         `json:"listener,omitempty"`
	ChosenBy   string         `json:"chosen_by,omitempty"` // why this service
	Source     netip.AddrPort `json:"source,omitzero"`
	SourceBy   string         `json:"source_by,omitempty"`
	Parse      Parse          `json:"parse"`
	Checks     []Check        `json:"checks,omitempty"` // in their order
	Direction  string         `json:"direction,omitempty"`
	Affinity   []Affinity     `json:"affinity,omitempty"` // in the order in which it is looked for
	Key        *HashKey       `json:"hash_key,omitempty"`
	Pool       string         `json:"pool,omitempty"` // whose servers the candidates are
	Candidates []Candidate    `json:"candidates,omitempty"`
	Choice     string         `json:"choice,omitempty"`    // server that it goes to
	RunnerUp   string         `json:"runner_up,omitempty"` // where it would go without that one
	Verdict    Verdict        `json:"verdict"`
	Edits      []string       `json:"edits,omitempty"`   // lines that leave otherwise: "- " as it came, "+ " as it goes
	Changes    []string       `json:"changes,omitempty"` // the same in words
	Message    string         `json:"message,omitempty"` // that leaves
	Ack        string         `json:"ack,omitempty"`     // that goes to the server of a refusal beside
}

// Parse is how reading the message went.
type Parse struct {
	OK     bool   `json:"ok"`
	Kind   string `json:"kind"`             // such as "INVITE request", "180 response"
	Fault  string `json:"fault,omitempty"`  // the first one
	Octet  int    `json:"octet,omitempty"`  // where it was noticed, from 1
	Line   int    `json:"line,omitempty"`   // likewise
	Text   string `json:"text,omitempty"`   // of that line
	Remark string `json:"remark,omitempty"` // what was done to a pasted message before
}

// Check is one step of the validation.
type Check struct {
	Name   string `json:"name"`
	Ref    string `json:"ref"`   // section of the standard
	State  string `json:"state"` // passed, failed, not reached
	Detail string `json:"detail,omitempty"`
}

// Affinity is one thing that may tie a message to a server.
type Affinity struct {
	Name    string `json:"name"`
	Found   bool   `json:"found"`
	Server  string `json:"server,omitempty"`
	LeftS   int    `json:"left_s,omitempty"` // for how long it is known still, unless it is used
	Detail  string `json:"detail"`
	Decides bool   `json:"decides"` // this is why the message goes where it goes
}

// HashKey is what the pool's hash is taken of.
type HashKey struct {
	Of    string `json:"of"`
	Text  string `json:"text,omitempty"`
	Value string `json:"value"` // keyed, so it differs between clusters
}

// Candidate is a server of the pool as a new call finds it.
type Candidate struct {
	Server           string  `json:"server"`
	Addr             string  `json:"address"`
	State            string  `json:"state"`
	Reason           string  `json:"reason,omitempty"`
	Ratio            int     `json:"ratio"`
	HashShare        float64 `json:"hash_share"`
	OpenTransactions int64   `json:"open_transactions"`
	Calls            int64   `json:"calls"`
	Mark             string  `json:"mark,omitempty"` // choice, runner-up
}

// Verdict is what becomes of the message.
type Verdict struct {
	Action   string         `json:"action"` // forward, answer, drop, resend, resolve
	Reason   string         `json:"reason"` // as counted
	Sentence string         `json:"sentence"`
	Status   int            `json:"status,omitempty"` // of an answer or a forwarded response
	To       netip.AddrPort `json:"to,omitzero"`
	From     string         `json:"from,omitempty"` // address of ours that it leaves from
}
