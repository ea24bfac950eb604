//go:build linux

package main

import (
	"fmt"
	"runtime"
)

// order looks for messages of one Call-ID that overtook each other, with several workers free to run on every CPU. Three
// responses, and ACK, four INFO and BYE, leave back to back, with sizes at random.
func (b *bench) order() error {
	if err := b.openFarm(); err != nil {
		return err
	}
	t := table{title: "Order: messages of one Call-ID that left in another order than they came", columns: []string{"workers", "calls", "messages", "overtaken", "other errors", "target", ""}}
	var cpus []int
	for i := range runtime.NumCPU() {
		cpus = append(cpus, i)
	}
	for i, workers := range []int{1, 2, 4} {
		p, err := b.startCarillon(workers, firstProxy+i, cpus, farmList(serversPort, servers))
		if err == nil {
			err = b.ready(b.farm, p)
		}
		if err != nil {
			b.stop(p)
			return err
		}
		err = b.orderWith(p, workers, &t)
		b.stop(p)
		if err != nil {
			return err
		}
	}
	b.tables = append(b.tables, t)
	return nil
}

func (b *bench) orderWith(p *peer, workers int, t *table) error {
	for _, kind := range []struct{ name, option string }{{"", "scatter=0"}, {", a call from several ports", "scatter=1"}} {
		r, err := b.farm.run(p.words("window=128", "infos=4", "jitter=300", fmt.Sprintf("secs=%.1f", b.orderSecs), "warmup=0.2", kind.option)...)
		if err != nil {
			return err
		}
		overtaken := r.Kinds["order_up"] + r.Kinds["order_down"]
		if w := r.wrong(); w != "" {
			b.failed("order with %s%s: %s", plural(workers, "worker", "workers"), kind.name, w)
		}
		t.add(fmt.Sprintf("%d%s", workers, kind.name), thousands(float64(r.Completed)), thousands(r.MsgsPerS*r.Secs), fmt.Sprint(overtaken), fmt.Sprint(r.Errors-overtaken), "0", overtaken == 0)
	}
	return nil
}
