package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/carillon-sip/carillon/internal/store"
)

// storeCommand groups what is done to a store itself, in etcd's words.
func storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Back up the store, restore it, look at it, make room in it",
		Long: `store works on what holds the objects: the embedded store of --data, whether carillon
runs or not, or the etcd cluster of --store. What is done to objects is done by other
commands; export and import take them as JSON.`,
		Example: "  carillon store snapshot backup.db\n  carillon store status backup.db",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(storeSnapshot(), storeRestore(), storeStatus(), storeDefrag())
	return cmd
}

// storeAt are the flags of the commands that reach a store.
func storeAt(cmd *cobra.Command) *storeFlags {
	var f storeFlags
	f.add(cmd.Flags(), "where the objects are kept: embedded, in --data, or the URLs of an etcd cluster with commas between")
	return &f
}

// reach opens the store, or the way to the process that runs it.
func (f *storeFlags) reach(ctx context.Context) (*store.Store, error) {
	log := slog.New(slog.DiscardHandler)
	if f.where != storeEmbedded {
		return f.open(ctx, log)
	}
	dir := filepath.Join(f.dir(), "store")
	if !store.Holds(dir) {
		return nil, fmt.Errorf("there is no store in %s; --data says where it is", dir)
	}
	st, err := f.open(ctx, log)
	if !errors.Is(err, store.ErrInUse) {
		return st, err
	}
	url, err := store.SocketURL(dir)
	if err != nil {
		return nil, err
	}
	beside := *f
	beside.where = url
	return beside.open(ctx, log)
}

// with does something with the store, and closes it.
func (f *storeFlags) with(cmd *cobra.Command, do func(*store.Store) error) error {
	if err := f.together(cmd.Flags()); err != nil {
		return err
	}
	st, err := f.reach(cmd.Context())
	if err != nil {
		return err
	}
	return errors.Join(do(st), st.Close())
}

// pairs prints names and values.
func pairs(out io.Writer, kv ...any) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i := 0; i+1 < len(kv); i += 2 {
		fmt.Fprintf(w, "%v\t%v\n", kv[i], kv[i+1])
	}
	return w.Flush()
}

func printBackup(out io.Writer, b store.Backup) error {
	return pairs(out, "revision", b.Revision, "keys", b.Keys, "size", mib(b.Bytes), "hash", fmt.Sprintf("%08x", b.Hash))
}

func mib(octets int64) string { return fmt.Sprintf("%.1f MiB", float64(octets)/(1<<20)) }

func storeSnapshot() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot FILE",
		Short: "Write a backup of the whole store",
		Long: `snapshot writes the store as it is at one revision, secrets and passwords' hashes too:
what etcdctl snapshot save writes. Nothing need be stopped. A cluster asks for its root user.`,
		Example: "  carillon store snapshot /var/backups/carillon.db --data /var/lib/carillon",
		Args:    oneFile,
	}
	f := storeAt(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return f.with(cmd, func(st *store.Store) error {
			b, err := writeBackup(cmd.Context(), st, args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s was written.\n", args[0])
			return printBackup(cmd.OutOrStdout(), b)
		})
	}
	return cmd
}

// writeBackup writes a backup: whole, checked and ours alone, or not at all.
func writeBackup(ctx context.Context, st *store.Store, path string) (b store.Backup, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return b, err
	}
	defer os.Remove(f.Name()) // gone already if all went well
	err = st.Snapshot(ctx, f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return b, err
	}
	if b, err = store.Inspect(f.Name()); err != nil {
		return b, err
	}
	return b, os.Rename(f.Name(), path)
}

func oneFile(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage{fmt.Errorf("%s takes one file, got %d", cmd.CommandPath(), len(args))}
	}
	return nil
}

func storeRestore() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make an embedded store of a backup",
		Long: `restore makes the store of a new --data directory from what snapshot wrote, or etcdctl
snapshot save of a cluster. It checks the checksum first. A directory that holds a store,
or that a process uses, stays as it is. For a cluster there is etcdutl snapshot restore.`,
		Example: "  carillon store restore /var/backups/carillon.db --data /var/lib/carillon-new",
		Args:    oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			at := storeFlags{data: data}
			dir := filepath.Join(at.dir(), "store")
			b, err := store.Inspect(args[0])
			if err != nil {
				return err
			}
			if err := restore(dir, args[0]); err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%s is restored to %s.\n", args[0], dir)
			if err := printBackup(out, b); err != nil {
				return err
			}
			fmt.Fprintf(out, "Next: stop the controllers of the old store, then carillon run --data %s (or controller).\n"+
				"Users log in with the passwords of the backup. Engines that reach it by the same address follow by themselves.\n", at.dir())
			return nil
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "directory to restore to (default "+stateDir()+")")
	return cmd
}

func restore(dir, backup string) error {
	f, err := os.Open(backup)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	return store.Restore(dir, f)
}

func storeStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [FILE]",
		Short: "Tell how the store is, or what a backup holds",
		Example: `  carillon store status --data /var/lib/carillon
  carillon store status backup.db`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage{fmt.Errorf("%s takes one file at the most, got %d", cmd.CommandPath(), len(args))}
			}
			return nil
		},
	}
	f := storeAt(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			b, err := store.Inspect(args[0])
			if err != nil {
				return err
			}
			return printBackup(cmd.OutOrStdout(), b)
		}
		return f.with(cmd, func(st *store.Store) error {
			full := st.Room(cmd.Context())
			if full == nil && f.where == storeEmbedded { // the process that runs it may not be this one
				full = store.DiskRoom(filepath.Join(f.dir(), "store"))
			}
			return printStatus(cmd.OutOrStdout(), st.Status(cmd.Context()), full)
		})
	}
	return cmd
}

// printStatus prints all that is known, and fails if the store does not serve.
func printStatus(out io.Writer, st store.Status, full error) error {
	room := "yes"
	if full != nil {
		room = full.Error()
	}
	quota := "not known"
	if st.Quota > 0 {
		quota = mib(st.Quota)
	}
	kv := []any{"healthy", st.Healthy, "revision", st.Revision, "size", mib(st.SizeBytes), "in use", mib(st.UsedBytes), "quota", quota, "takes changes", room}
	if st.Embedded {
		kv = append(kv, "free on the disk", mib(st.FreeBytes))
	}
	for _, m := range st.Members {
		words := "follows, etcd " + m.Version
		if m.Leader {
			words = "leads, etcd " + m.Version
		}
		if !m.Healthy || m.Error != "" {
			words += ": " + m.Error
		}
		kv = append(kv, "member "+m.Name, words)
	}
	if err := pairs(out, kv...); err != nil {
		return err
	}
	if !st.Healthy {
		return fmt.Errorf("the store does not serve: %s", st.Error)
	}
	return nil
}

func storeDefrag() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "defrag",
		Short: "Make room in the store",
		Long: `defrag drops history, has every member write its file anew, and ends etcd's alarm for want
of room. An embedded store does so by itself. A member does not answer while it writes;
engines go on. A cluster asks for its root user.`,
		Example: "  carillon store defrag --store https://etcd-1:2379,https://etcd-2:2379,https://etcd-3:2379 --store-ca ca.pem --store-user root --store-password-file pw",
		Args:    noArgs,
	}
	f := storeAt(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return f.with(cmd, func(st *store.Store) error {
			done, err := st.Defragment(cmd.Context())
			for _, d := range done {
				words := ""
				if d.Disarmed {
					words = ", and it takes changes again"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s, was %s%s\n", d.Member, mib(d.After), mib(d.Before), words)
			}
			return err
		})
	}
	return cmd
}
