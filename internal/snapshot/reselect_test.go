package snapshot

import (
	"testing"

	"github.com/carillon-sip/carillon/internal/object"
)

func TestRetries(t *testing.T) {
	codes := func(c ...int) object.ServerReselect {
		return object.ServerReselect{Enabled: true, NumRetries: 3, SvrRespCode: object.ResponseCodes{Codes: c}}
	}
	for _, c := range []struct {
		name     string
		reselect object.ServerReselect
		on503    bool
		want     map[int]int // status: retries
	}{
		{"off", object.ServerReselect{NumRetries: 3}, false, map[int]int{503: 0, 500: 0}},
		{"503 alone", object.ServerReselect{}, true, map[int]int{503: 1, 500: 0, 404: 0, 200: 0, 699: 0}},
		{"no codes are 503", codes(), false, map[int]int{503: 3, 500: 0}},
		{"codes and 503", codes(404, 500, 599, 400), true, map[int]int{503: 1, 500: 3, 404: 3, 400: 3, 599: 3, 600: 0, 399: 0}},
		{"blocks but for challenges", object.ServerReselect{Enabled: true, NumRetries: 2, SvrRespCode: object.ResponseCodes{Blocks: []string{"HTTP_RSP_4XX"}}},
			false, map[int]int{401: 0, 407: 0, 487: 0, 491: 0, 404: 2, 499: 2, 500: 0}},
		{"ranges", object.ServerReselect{Enabled: true, NumRetries: 1, SvrRespCode: object.ResponseCodes{Ranges: []object.ResponseCodeRange{{Begin: 500, End: 504}}}},
			false, map[int]int{499: 0, 500: 1, 504: 1, 505: 0}},
	} {
		s, p := &Service{RetryOn503: c.on503}, &Pool{Reselect: newReselect(&c.reselect)}
		for status, want := range c.want {
			if got := s.Retries(p, status); got != want {
				t.Errorf("%s: %d after %d, want %d", c.name, got, status, want)
			}
		}
	}
}
