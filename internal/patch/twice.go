package patch

import (
	"encoding/json"
	"strconv"
)

// Twice finds a member that stands twice in an object of a JSON text, and returns where: servers[2].port. Readers keep
// one of the two, not all the same one, so nobody can tell which was meant. A text that is no JSON has none.
func Twice(data []byte) (path string, found bool) {
	if !json.Valid(data) {
		return "", false
	}
	s := scanner{data: data}
	s.value("")
	return s.path, s.found
}

// scanner walks over valid JSON. encoding/json has bounded its depth.
type scanner struct {
	data  []byte
	at    int
	path  string
	found bool
}

func (s *scanner) value(path string) {
	switch s.next() {
	case '{':
		s.object(path)
	case '[':
		s.list(path)
	case '"':
		s.text()
	default:
		for s.at < len(s.data) && !ends(s.data[s.at]) {
			s.at++
		}
	}
}

// next passes over white space and returns what is there, which stays.
func (s *scanner) next() byte {
	for s.at < len(s.data) && (s.data[s.at] == ' ' || s.data[s.at] == '\t' || s.data[s.at] == '\n' || s.data[s.at] == '\r') {
		s.at++
	}
	if s.at == len(s.data) {
		return 0
	}
	return s.data[s.at]
}

func ends(b byte) bool {
	return b == ',' || b == '}' || b == ']' || b == ' ' || b == '\t' || b == '\n' || b == '\r'
}

// text passes over a string, and returns it with its quotes.
func (s *scanner) text() []byte {
	from := s.at
	for s.at++; s.data[s.at] != '"'; s.at++ {
		if s.data[s.at] == '\\' {
			s.at++
		}
	}
	s.at++
	return s.data[from:s.at]
}

func (s *scanner) object(path string) {
	s.at++
	seen := map[string]bool{}
	for s.next() == '"' && !s.found {
		name := unquote(s.text())
		below := name
		if path != "" {
			below = path + "." + name
		}
		if seen[name] {
			s.path, s.found = below, true
			return
		}
		seen[name] = true
		s.next()
		s.at++ // the colon
		s.value(below)
		if s.next() == ',' {
			s.at++
		}
	}
	s.at++
}

func (s *scanner) list(path string) {
	s.at++
	for i := 0; s.next() != ']' && !s.found; i++ {
		s.value(path + "[" + strconv.Itoa(i) + "]")
		if s.next() == ',' {
			s.at++
		}
	}
	s.at++
}

func unquote(text []byte) string {
	for _, b := range text {
		if b == '\\' || b >= 0x80 {
			var out string
			_ = json.Unmarshal(text, &out) // it is valid
			return out
		}
	}
	return string(text[1 : len(text)-1])
}
