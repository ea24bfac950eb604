// Command etcd is one member of an etcd cluster, of the very version that Carillon links: distributions have older
// ones. The tests start three, kill one and bring it back.
package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		os.Exit(1)
	}
}

func run() error {
	name := flag.String("name", "", "name of the member")
	dir := flag.String("dir", "", "data directory")
	client := flag.String("client", "", "URL for clients")
	peer := flag.String("peer", "", "URL for the other members")
	cluster := flag.String("cluster", "", "all members, as name=peer URL with commas between")
	flag.Parse()
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir, cfg.InitialCluster = *name, *dir, *cluster
	cfg.LogLevel, cfg.Logger = "error", "zap"
	cfg.TickMs, cfg.ElectionMs = 50, 500
	for to, text := range map[*[]url.URL]string{&cfg.ListenClientUrls: *client, &cfg.AdvertiseClientUrls: *client, &cfg.ListenPeerUrls: *peer, &cfg.AdvertisePeerUrls: *peer} {
		u, err := url.Parse(text)
		if err != nil {
			return err
		}
		*to = []url.URL{*u}
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	defer e.Close()
	select {
	case <-e.Server.ReadyNotify():
		fmt.Println("etcd: ready")
	case <-stop:
		return nil
	}
	select {
	case err := <-e.Err():
		return err
	case <-stop:
		return nil
	}
}
