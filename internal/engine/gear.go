package engine

import (
	"github.com/carillon-sip/carillon/internal/proxy"
	"github.com/carillon-sip/carillon/internal/tap"
	"github.com/carillon-sip/carillon/internal/transport"
)

// maxSpare is how many gears that nobody uses are kept, for each family of addresses.
const maxSpare = 8

// pickUp sees to it that the worker has its gear.
func (w *worker) pickUp() error {
	if w.gear != nil {
		return nil
	}
	f := w.group.key.Family()
	select {
	case w.gear = <-w.e.spare[f]:
	default:
		in, err := transport.NewBatch(transport.MaxBatch)
		if err != nil {
			return err
		}
		w.gear = &gear{in: in, proxy: proxy.New(w.e.sealer, w.e.names[f])}
	}
	w.flight.calls = &w.gear.calls
	w.impatient = w.e.awake.Add(1) > maxReading
	return nil
}

// layDown gives the gear of a worker, which has nothing to do, to whoever needs it next.
func (w *worker) layDown() {
	g := w.gear
	if g == nil {
		return
	}
	w.lane.decide.Lock()
	w.flight.clear()
	w.flight.calls = nil
	w.lane.decide.Unlock()
	w.gear = nil
	w.e.awake.Add(-1)
	if g.book != nil {
		g.book.end(g.tally)
	}
	g.clearOuts()
	// what was read last, and how the world was then, are not to be kept alive by who rests
	g.live, g.book, g.tally, g.input, g.nFailed, g.late = nil, nil, nil, proxy.Input{}, 0, false
	g.msg.Buf, g.taps, g.sighting, g.left = nil, nil, tap.Sighting{}, nil
	select {
	case w.e.spare[w.group.key.Family()] <- g:
	default:
		g.in.Close()
	}
}

// closeSpare gives the memory of spare gear back.
func (e *Engine) closeSpare() {
	for _, spare := range e.spare {
		for len(spare) > 0 {
			(<-spare).in.Close()
		}
	}
}
