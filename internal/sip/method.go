package sip

// Method is the method of a request, or the one that CSeq names. Methods are case-sensitive (RFC 3261 7.1).
type Method uint8

// The methods that have a name of their own here. Unknown is any other token; its text is in the message.
const (
	Unknown Method = iota
	Invite
	Ack
	Bye
	Cancel
	Options
	Register
	Prack
	Subscribe
	Notify
	Publish
	Info
	Refer
	Message
	Update
	numMethods
)

// NumMethods is how many methods there are, Unknown included: the size of an array of counters.
const NumMethods = int(numMethods)

var methodText = [numMethods]string{
	"OTHER", "INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "PRACK", "SUBSCRIBE", "NOTIFY", "PUBLISH",
	"INFO", "REFER", "MESSAGE", "UPDATE",
}

// Methods are the methods with a number of their own, as they stand in a start line.
func Methods() []string { return append([]string(nil), methodText[1:]...) }

// String is the method as it stands in a start line, or "OTHER" for Unknown.
func (m Method) String() string {
	if int(m) < len(methodText) {
		return methodText[m]
	}
	return methodText[Unknown]
}

// methodOf names the method in b; the compiler turns the switch into compares of length and words.
func methodOf(b []byte) Method {
	switch string(b) {
	case "INVITE":
		return Invite
	case "ACK":
		return Ack
	case "BYE":
		return Bye
	case "CANCEL":
		return Cancel
	case "OPTIONS":
		return Options
	case "REGISTER":
		return Register
	case "PRACK":
		return Prack
	case "SUBSCRIBE":
		return Subscribe
	case "NOTIFY":
		return Notify
	case "PUBLISH":
		return Publish
	case "INFO":
		return Info
	case "REFER":
		return Refer
	case "MESSAGE":
		return Message
	case "UPDATE":
		return Update
	}
	return Unknown
}
