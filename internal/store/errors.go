package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What may go wrong; errors of this package wrap one of them, or are none of the
// store's making (a directory, a certificate).
var (
	// ErrUnavailable: no leader, no connection, no answer in time. Nothing was changed.
	ErrUnavailable = errors.New("the store cannot be reached")
	// ErrUncertain is an ErrUnavailable after which a change may have happened, now or
	// a moment later. Read before you try again.
	ErrUncertain = fmt.Errorf("%w, and the change may have happened", ErrUnavailable)
	// ErrFull: the quota of the store is used up, or the disk is full. Nothing was
	// changed. A transaction that only deletes is taken all the same where etcd can.
	ErrFull = errors.New("the store is full")
	// ErrTooLarge: more operations or octets than one transaction may have.
	ErrTooLarge = errors.New("too large for one transaction")
	// ErrDenied: the cluster refuses our name, password or certificate, or what we ask for.
	ErrDenied = errors.New("the store refuses access")
)

// certain are errors that etcd gives before it does anything.
var certain = []error{
	rpctypes.ErrNoLeader, rpctypes.ErrNotCapable, rpctypes.ErrTooManyRequests, rpctypes.ErrUnhealthy,
	rpctypes.ErrCorrupt, rpctypes.ErrNotLeader,
}

// explain gives an error of etcd its class. Only reads use it as it is; a change
// goes through explainChange.
func explain(err error) error {
	if err == nil || isOurs(err) {
		return err
	}
	switch {
	case is(err, rpctypes.ErrNoSpace):
		return fmt.Errorf("%w: its quota is used up; 'carillon store defrag' drops history and makes room", ErrFull)
	case is(err, rpctypes.ErrTooManyOps):
		return fmt.Errorf("%w: too many operations", ErrTooLarge)
	case is(err, rpctypes.ErrRequestTooLarge), tooLong(err):
		return fmt.Errorf("%w: too many octets", ErrTooLarge)
	case is(err, rpctypes.ErrPermissionDenied), is(err, rpctypes.ErrAuthFailed), is(err, rpctypes.ErrUserEmpty),
		is(err, rpctypes.ErrInvalidAuthToken):
		return fmt.Errorf("%w: %s", ErrDenied, plain(err))
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: no answer in time: %w", ErrUnavailable, err)
	}
	switch code(err) {
	case codes.InvalidArgument, codes.FailedPrecondition, codes.OutOfRange, codes.NotFound, codes.Unimplemented:
		return fmt.Errorf("store: %s", plain(err)) // etcd read it and said no
	}
	return fmt.Errorf("%w: %s", ErrUnavailable, plain(err))
}

// explainChange is explain for a request that changes something: unless it is sure
// that it was not carried out, the error is ErrUncertain.
func explainChange(err error) error {
	out := explain(err)
	if out == nil || isOurs(err) || !errors.Is(out, ErrUnavailable) || neverSent(err) {
		return out
	}
	for _, c := range certain {
		if is(err, c) {
			return out
		}
	}
	if isDone(err) {
		return fmt.Errorf("%w: no answer in time: %w", ErrUncertain, err)
	}
	return fmt.Errorf("%w: %s", ErrUncertain, plain(err))
}

// neverSent: there was no connection to send it over.
func neverSent(err error) bool {
	text := err.Error()
	return code(err) == codes.Unavailable && (strings.Contains(text, "error while dialing") ||
		strings.Contains(text, "Error while dialing") || strings.Contains(text, "authentication handshake failed"))
}

// tooLong is gRPC's own limit on a message, before etcd sees it.
func tooLong(err error) bool {
	return code(err) == codes.ResourceExhausted && strings.Contains(err.Error(), "larger than max")
}

func isOurs(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrFull) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrDenied)
}

// is compares as etcd's client means it: its errors come as values or as gRPC's.
func is(err, want error) bool {
	return errors.Is(err, want) || rpctypes.Error(err) == want || strings.HasSuffix(err.Error(), want.Error())
}

func code(err error) codes.Code {
	var e rpctypes.EtcdError
	if errors.As(err, &e) {
		return e.Code()
	}
	if s, ok := status.FromError(err); ok {
		return s.Code()
	}
	return codes.Unknown
}

// plain is the text without gRPC's "rpc error: code = ... desc = ".
func plain(err error) string {
	if s, ok := status.FromError(err); ok {
		return s.Message()
	}
	return err.Error()
}
