package proxy

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/carillon-sip/carillon/internal/aged"
	"github.com/carillon-sip/carillon/internal/sip"
	"github.com/carillon-sip/carillon/internal/snapshot"
)

// The one entry of a Call-ID against two sets, those that are known and those that are up, each with a time: what servers
// count is what the sets hold, whichever part of an entry ends first.
func TestCallsAgainstSets(t *testing.T) {
	type part struct {
		server *snapshot.Server
		until  aged.Tick
	}
	s := newStep(t)
	servers := s.l.snap.Pools[0].Servers
	rapid.Check(t, func(t *rapid.T) {
		st := NewState(1<<20, 1<<20, nil)
		known, up, since := map[uint64]part{}, map[uint64]part{}, map[uint64]aged.Tick{}
		in := s.in
		in.State, in.Now = st, aged.Tick(rapid.Uint32().Draw(t, "origin"))
		var m sip.Msg
		in.Msg = &m
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			key := uint64(rapid.IntRange(1, 5).Draw(t, "key"))<<58 | 0x77<<8
			sv := servers[rapid.IntRange(0, 2).Draw(t, "server")]
			life := aged.Tick(rapid.IntRange(0, 100_000).Draw(t, "life"))
			_, isKnown := known[key]
			_, isUp := up[key]
			if !isKnown && !isUp {
				delete(since, key)
			}
			switch rapid.IntRange(0, 4).Draw(t, "op") {
			case 0: // a request
				shard := st.calls.Shard(key)
				shard.Lock()
				st.learn(shard, key, &in, sv, in.Now+life, sip.Info)
				shard.Unlock()
				known[key] = part{sv, in.Now + life}
				if isUp {
					up[key] = part{sv, up[key].until}
				}
				if !isKnown && !isUp {
					since[key] = in.Now
				}
			case 1: // its 200
				m.Parse([]byte("SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\n"))
				st.callUp(key, &in, sv)
				if isKnown {
					sv = known[key].server
				}
				if isUp {
					sv = up[key].server
				}
				up[key] = part{sv, in.Now + quietCallMS}
				if !isKnown && !isUp {
					since[key] = in.Now
				}
			case 2: // the end of its BYE
				st.endCall(key, &in)
				delete(up, key)
			case 3:
				in.Now += life
			case 4:
				in.Now += aged.Tick(3 * time.Hour / time.Millisecond)
			}
			for _, set := range []map[uint64]part{known, up} {
				for k, p := range set {
					if p.until.Before(in.Now) {
						delete(set, k)
					}
				}
			}
			if rapid.Bool().Draw(t, "tend") {
				st.Tend(in.Now, 64, s.l.snap)
				for _, sv := range servers[:3] {
					calls, dialogs := int64(0), int64(0)
					for k := range since {
						if known[k].server == sv {
							calls++
						}
						if up[k].server == sv {
							dialogs++
						}
					}
					if sv.State.Calls.Load() != calls || sv.State.Dialogs.Load() != dialogs {
						t.Fatalf("%s has %d calls, %d of them up; want %d and %d", sv.Addr, sv.State.Calls.Load(), sv.State.Dialogs.Load(), calls, dialogs)
					}
				}
			}
			seen := map[uint64]CallTrace{}
			st.EachCall(in.Now, s.l.snap, func(k CallTrace, hash uint64) { seen[hash] = k })
			for k := range since {
				have := seen[k]
				if left(known[k].until, known[k].server, in.Now) != have.LeftMS || left(up[k].until, up[k].server, in.Now) != have.UpMS {
					t.Fatalf("call %x: %+v, want known %+v, up %+v at %d", k, have, known[k], up[k], in.Now)
				}
				if age := uint32(in.Now - since[k]); have.Server != nil && (have.AgeMS < age || have.AgeMS-age >= 1<<callSince) {
					t.Fatalf("call %x is %d ms old, want %d", k, have.AgeMS, age)
				}
			}
		}
		st.Close(s.l.snap)
		for _, sv := range servers {
			if sv.State.Calls.Load() != 0 || sv.State.Dialogs.Load() != 0 || st.Calls() != 0 {
				t.Fatalf("%s counts %d and %d after the end", sv.Addr, sv.State.Calls.Load(), sv.State.Dialogs.Load())
			}
		}
	})
}

func left(until aged.Tick, sv *snapshot.Server, now aged.Tick) uint32 {
	if sv == nil {
		return 0
	}
	return uint32(until-now) + 1
}
