package shell

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"time"

	"github.com/carillon-sip/carillon/internal/client"
)

// watchEvery is the time between two looks of watch.
const watchEvery = 2 * time.Second

// watch repeats a show until Ctrl-C; -n N ends it after N times, -i S waits S seconds between.
func (s *Shell) watch(ctx context.Context, words []string, _ []byte) error {
	every, times := watchEvery, 0
	for len(words) >= 2 && (words[0] == "-n" || words[0] == "-i") {
		n, err := strconv.Atoi(words[1])
		if err != nil || n < 1 {
			return fmt.Errorf("watch %s %s: expected a number from 1 on", words[0], words[1])
		}
		if words[0] == "-n" {
			times = n
		} else {
			every = time.Duration(n) * time.Second
		}
		words = words[2:]
	}
	if len(words) == 0 || words[0] != "show" {
		return errors.New("expected watch show and what to show")
	}
	if !s.out.Terminal && times == 0 {
		times = 1
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	for i := 1; ; i++ {
		if s.out.Terminal {
			fmt.Fprint(s.out.Out, "\x1b[H\x1b[2J")
		}
		if err := s.show(ctx, words[1:], nil); err != nil {
			var lost *client.UnreachableError
			switch {
			case ctx.Err() != nil:
				return nil
			case i == 1 || !s.out.Terminal || !errors.As(err, &lost):
				return err
			}
			s.tell(err) // it may come back
		}
		if i == times {
			return nil
		}
		s.say("%s; Ctrl-C ends", time.Now().In(s.term.location).Format("15:04:05"))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}
