package controller

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/carillon-sip/carillon/internal/catalog"
)

// Two controllers on one store change what refers to each other at the same time: one makes virtual services that refer
// to a pool, the other deletes the pool and makes it again. No order of events leaves a reference that leads nowhere.
func TestTwoControllers(t *testing.T) {
	st := openStore(t)
	a, b := startOn(t, st), startOn(t, st)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	do(t, a, create("VsVip", `{"name":"here","vip":["127.0.0.1"]}`))
	var wg sync.WaitGroup
	made := 0
	wg.Go(func() {
		random := rand.New(rand.NewPCG(seed, 1))
		held := "" // until the next round: one that stayed for good would keep the pool from ever going
		remove := func(uuid string) {
			if _, err := a.Do(t.Context(), admin, Op{Verb: Delete, Kind: "VirtualService", UUID: uuid}); err != nil {
				t.Error(err)
			}
		}
		for i := range 150 {
			if held != "" {
				remove(held)
				held = ""
			}
			res, err := a.Do(t.Context(), admin, create("VirtualService", `{"name":"vs-%d","vsvip_ref":"here","pool_ref":"edge","services":[{"port":%d}]}`, i, 10000+i))
			if err != nil {
				continue
			}
			made++
			if held = res.Records[0].UUID(); random.IntN(3) > 0 {
				remove(held)
				held = ""
			}
		}
	})
	gone := 0
	wg.Go(func() {
		for range 300 {
			res, err := b.Do(t.Context(), admin, create("Pool", `{"name":"edge","servers":["127.0.0.2:5060"]}`))
			uuid := ""
			if err == nil {
				uuid = res.Records[0].UUID()
			} else if r := b.View().Named("Pool", catalog.AdminTenant, "edge"); r != nil {
				uuid = r.UUID()
			}
			if _, err := b.Do(t.Context(), admin, Op{Verb: Delete, Kind: "Pool", UUID: uuid}); err == nil {
				gone++
			} else if code := CodeOf(err); code != InUse && code != NotFound {
				t.Errorf("delete: %v", err)
			}
		}
	})
	wg.Wait()
	v, err := catalog.Load(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Set().ValidateTogether(); err != nil {
		t.Error(err)
	}
	v.All(func(r *catalog.Record) bool {
		for _, ref := range r.Refs() {
			if v.Get(ref.Kind, ref.Value) == nil {
				t.Errorf("%s/%s: %s leads nowhere: %s", r.Kind(), r.Name(), ref.Path, ref.Value)
			}
		}
		return true
	})
	t.Logf("%d virtual services were made, the pool went %d times", made, gone)
	if gone == 0 {
		t.Error("the pool never went: the test shows nothing")
	}
}

// Each of several controllers writes as fast as it can; every answer is a change that is there, in an order that all
// agree on.
func TestManyWriters(t *testing.T) {
	st := openStore(t)
	const writers, each = 3, 40
	var controllers []*Controller
	for range writers {
		controllers = append(controllers, startOn(t, st))
	}
	before := controllers[0].View().Changes
	revisions := make(chan int64, writers*each)
	var wg sync.WaitGroup
	for i, c := range controllers {
		wg.Go(func() {
			for n := range each {
				res, err := c.Do(t.Context(), admin, create("IpAddrGroup", `{"name":"%s"}`, fmt.Sprintf("g-%d-%d", i, n)))
				if err != nil {
					t.Error(err)
					return
				}
				if c.View().Get("IpAddrGroup", res.Records[0].UUID()) == nil {
					t.Error("a controller does not see what it has just made")
				}
				revisions <- res.Revision
			}
		})
	}
	wg.Wait()
	close(revisions)
	seen := map[int64]bool{}
	for r := range revisions {
		if seen[r] {
			t.Errorf("revision %d was given to two changes", r)
		}
		seen[r] = true
	}
	v, err := catalog.Load(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(v.List("IpAddrGroup")); n != writers*each || v.Changes-before != writers*each {
		t.Errorf("%d objects and %d changes, want %d", n, v.Changes-before, writers*each)
	}
}
