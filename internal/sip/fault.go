package sip

// Fault says what is wrong with a message. It is a number, so a flood of broken messages costs nothing; its String is
// the reason phrase of the 400 and the word in the counters. The zero Fault means that the message is sound.
type Fault uint8

// The faults, in the order in which a reader meets them.
const (
	NoFault Fault = iota
	FaultTooLong
	FaultStartLine
	FaultMethod
	FaultVersion
	FaultRequestURI
	FaultURIHeaders
	FaultStatusCode
	FaultLineEnd
	FaultNUL
	FaultFirstLineFolded
	FaultNoColon
	FaultHeaderName
	FaultNoEmptyLine
	FaultTooManyFields
	FaultTooManyVias
	FaultTooManyRoutes
	FaultVia
	FaultViaProtocol
	FaultSecondVia
	FaultFrom
	FaultTo
	FaultCallID
	FaultCSeqNumber
	FaultCSeqMethod
	FaultMethodMismatch
	FaultMaxForwards
	FaultRoute
	FaultProxyRequire
	FaultContentLength
	FaultContentLengthBeyond
	FaultDuplicateFrom
	FaultDuplicateTo
	FaultDuplicateCallID
	FaultDuplicateCSeq
	FaultDuplicateMaxForwards
	FaultDuplicateContentLength
	FaultNoVia
	FaultNoFrom
	FaultNoTo
	FaultNoCallID
	FaultNoCSeq
	FaultNoContentLength
	numFaults
)

var faultText = [numFaults]string{
	NoFault:                     "OK",
	FaultTooLong:                "Message Too Long",
	FaultStartLine:              "Bad Start Line",
	FaultMethod:                 "Bad Method",
	FaultVersion:                "Version Not Supported",
	FaultRequestURI:             "Bad Request-URI",
	FaultURIHeaders:             "Header Fields In Request-URI",
	FaultStatusCode:             "Bad Status Code",
	FaultLineEnd:                "Bare CR Or LF In Header",
	FaultNUL:                    "NUL In Header",
	FaultFirstLineFolded:        "White Space Before First Header Field",
	FaultNoColon:                "Header Field Without Colon",
	FaultHeaderName:             "Bad Header Field Name",
	FaultNoEmptyLine:            "Header Not Ended",
	FaultTooManyFields:          "Too Many Header Fields",
	FaultTooManyVias:            "Too Many Via Values",
	FaultTooManyRoutes:          "Too Many Route Values",
	FaultVia:                    "Bad Via",
	FaultViaProtocol:            "Bad Via Protocol",
	FaultSecondVia:              "Bad Second Via",
	FaultFrom:                   "Bad From",
	FaultTo:                     "Bad To",
	FaultCallID:                 "Bad Call-ID",
	FaultCSeqNumber:             "Bad CSeq Number",
	FaultCSeqMethod:             "Bad CSeq Method",
	FaultMethodMismatch:         "CSeq Method Does Not Match",
	FaultMaxForwards:            "Bad Max-Forwards",
	FaultRoute:                  "Bad Route",
	FaultProxyRequire:           "Bad Proxy-Require",
	FaultContentLength:          "Bad Content-Length",
	FaultContentLengthBeyond:    "Content-Length Beyond Datagram",
	FaultDuplicateFrom:          "Duplicate From",
	FaultDuplicateTo:            "Duplicate To",
	FaultDuplicateCallID:        "Duplicate Call-ID",
	FaultDuplicateCSeq:          "Duplicate CSeq",
	FaultDuplicateMaxForwards:   "Duplicate Max-Forwards",
	FaultDuplicateContentLength: "Duplicate Content-Length",
	FaultNoVia:                  "Missing Via",
	FaultNoFrom:                 "Missing From",
	FaultNoTo:                   "Missing To",
	FaultNoCallID:               "Missing Call-ID",
	FaultNoCSeq:                 "Missing CSeq",
	FaultNoContentLength:        "Missing Content-Length",
}

// NumFaults is how many faults there are, NoFault included: the size of an array of counters.
const NumFaults = int(numFaults)

// String is the fault in words, as a reason phrase.
func (f Fault) String() string {
	if int(f) < len(faultText) {
		return faultText[f]
	}
	return "Bad Request"
}

// Status is the status code with which a request of this fault is refused: 505, 513 or 400; 0 for NoFault.
func (f Fault) Status() int {
	switch f {
	case NoFault:
		return 0
	case FaultVersion:
		return 505 // RFC 3261 21.5.6
	case FaultTooLong:
		return 513 // RFC 3261 21.5.7
	}
	return 400
}
