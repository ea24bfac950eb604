package store

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// quiet are warnings of etcd that say nothing to whoever runs carillon: about flags
// that we set on purpose, or about errors that come back to us and are told there.
var quiet = []string{
	"Running http and grpc server on single port",
	"retrying of unary invoker failed",
	"simple token is not cryptographically signed",
	"failed to fetch authentication token",
	"lease keepalive response queue is full",
	"error receiving keepalive",
	"closing client listener",
	"closing peer listener",
	"transport: ",
	"failed to receive from snapshot stream",
	"failed to receive watch request from gRPC stream",
	"failed to send watch",
	"waiting for ReadIndex response took too long",
	"exceeded recommended request limit",
	"Failed to detect schema version",  // of a store that is seconds old
	"failed to update storage version", // likewise
	"ignored file in WAL directory",    // what it repaired
}

// sayAgain is how long the same warning of etcd is said no second time.
const sayAgain = time.Minute

// bridge gives etcd's warnings and errors to slog.
type bridge struct {
	log    *slog.Logger
	fields []zapcore.Field
	said   *said
}

// said is what was said, and when.
type said struct {
	closing *atomic.Bool // what etcd says while it is stopped is no news
	mu      sync.Mutex
	at      map[string]time.Time
}

// zapTo makes a logger for etcd, which is quiet once closing is set. If broke is given, the server's end takes the
// goroutine that found it and not the process: etcd means to exit at once when its
// disk fails, and the calls of our users must not end with it.
func zapTo(log *slog.Logger, closing *atomic.Bool, broke func(why string)) *zap.Logger {
	var opts []zap.Option
	if broke != nil {
		opts = append(opts, zap.WithFatalHook(onBreak(broke)), zap.WithPanicHook(onBreak(broke)))
	}
	return zap.New(&bridge{log: log, said: &said{closing: closing, at: map[string]time.Time{}}}, opts...)
}

type onBreak func(why string)

func (f onBreak) OnWrite(e *zapcore.CheckedEntry, fields []zapcore.Field) {
	f(e.Message + attrText(fields))
	runtime.Goexit()
}

func (b *bridge) Enabled(l zapcore.Level) bool {
	return l >= zapcore.DPanicLevel || (l >= zapcore.WarnLevel && !b.said.closing.Load())
}

func (b *bridge) With(fields []zapcore.Field) zapcore.Core {
	return &bridge{log: b.log, fields: append(slices.Clip(b.fields), fields...), said: b.said}
}

func (b *bridge) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !b.Enabled(e.Level) {
		return ce
	}
	return ce.AddCore(e, b)
}

func (b *bridge) Write(e zapcore.Entry, fields []zapcore.Field) error {
	isQuiet := func(q string) bool { return strings.Contains(e.Message, q) }
	if e.Level < zapcore.DPanicLevel && (slices.ContainsFunc(quiet, isQuiet) || !b.said.first(e.Message)) {
		return nil
	}
	level := slog.LevelWarn
	if e.Level >= zapcore.ErrorLevel {
		level = slog.LevelError
	}
	attrs := attrsOf(append(slices.Clip(b.fields), fields...))
	b.log.LogAttrs(context.Background(), level, "store: etcd: "+e.Message, attrs...)
	return nil
}

func (b *bridge) Sync() error { return nil }

// first tells whether the message was not said within the last minute.
func (s *said) first(message string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if at, ok := s.at[message]; ok && now.Sub(at) < sayAgain {
		return false
	}
	const limit = 1000 // messages; etcd's are constants
	if len(s.at) >= limit {
		clear(s.at)
	}
	s.at[message] = now
	return true
}

func attrsOf(fields []zapcore.Field) []slog.Attr {
	enc := zapcore.NewMapObjectEncoder()
	attrs := make([]slog.Attr, 0, len(fields))
	for _, f := range fields {
		if f.Type == zapcore.SkipType || f.Key == "stacktrace" {
			continue
		}
		f.AddTo(enc)
		attrs = append(attrs, slog.Any(f.Key, enc.Fields[f.Key]))
	}
	return attrs
}

func attrText(fields []zapcore.Field) string {
	var b strings.Builder
	for _, a := range attrsOf(fields) {
		fmt.Fprintf(&b, ", %s: %v", a.Key, a.Value)
	}
	return b.String()
}
