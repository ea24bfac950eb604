package eyes

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"time"
)

// site is where an engine runs, and whether doctor runs there too.
type site struct {
	name string
	host string
	pid  int
	here bool   // on this machine, in this network namespace
	why  string // it is not here
}

// because is why an engine is not here, to be put behind a sentence.
func (p site) because() string {
	if p.why == "" {
		return ""
	}
	return ": " + p.why
}

// engineObject is what the API tells of an engine.
type engineObject struct {
	Name    string
	Runtime struct {
		Connected bool `json:"se_connected"`
		Version   string
		Host      string
		PID       int
		Applied   int64             `json:"revision"`
		Wanted    int64             `json:"revision_wanted"`
		Errors    map[string]string `json:"errors"`
	}
}

// engines looks at who answers, what each cannot run, and at the difference of clocks.
func (d *doctor) engines(ctx context.Context, s *sample) error {
	list, err := d.e.Client.List(ctx, "serviceengine", map[string][]string{"join_subresources": {"runtime"}})
	if err != nil {
		return err
	}
	d.places = map[string]site{}
	var versions []string
	for _, data := range list {
		var o engineObject
		if err := json.Unmarshal(data, &o); err != nil {
			return err
		}
		d.engine(&o)
		if o.Runtime.Connected && !slices.Contains(versions, o.Runtime.Version) {
			versions = append(versions, o.Runtime.Version)
		}
	}
	for _, words := range s.Errors {
		d.note("bad", "engines", "See that the engine runs, and that the controller reaches its --control address.", "%s", words)
	}
	if len(s.Engines) == 0 {
		d.note("bad", "engines", "Start one: 'carillon engine', or 'carillon run' for all in one.", "no engine answers")
		return nil
	}
	d.ok("engines", "these answer: %s", strings.Join(s.Engines, ", "))
	if len(versions) > 1 {
		d.note("warn", "engines", "Bring all to one release: a field that one does not know yet has no effect there.", "they are of several releases: %s", strings.Join(versions, ", "))
	}
	if off := time.Since(s.At); off > 3*time.Second || off < -2*time.Second {
		d.note("warn", "clock", "Run an NTP client on both machines: times of traces and logs would not fit together.", "engine and this machine are %s apart", seconds(off.Abs().Seconds()))
	}
	return nil
}

// engine looks at one engine as it tells of itself.
func (d *doctor) engine(o *engineObject) {
	r, name := &o.Runtime, "engine "+o.Name
	if !r.Connected {
		d.note("warn", name, "Start it, or 'carillon delete serviceengine "+o.Name+"' when it is gone for good.", "is not running")
		return
	}
	p := site{name: o.Name, host: r.Host, pid: r.PID}
	if host, err := os.Hostname(); err != nil || host != r.Host {
		p.why = "it runs on " + r.Host
	} else {
		p.why = elsewhere(r.PID)
	}
	p.here = p.why == ""
	d.places[o.Name] = p
	for object, words := range r.Errors {
		d.note("bad", name, mendError(words), "cannot run %s: %s", object, words)
	}
	if r.Applied < r.Wanted {
		d.note("warn", name, "A moment later it should; if not, its log tells why.", "runs revision %d, and %d is on its way", r.Applied, r.Wanted)
	}
}

// mendError is what to do about what an engine cannot run.
func mendError(words string) string {
	switch {
	case strings.Contains(words, "cannot be read"):
		return "What is said of the store has what to do."
	case strings.Contains(words, "in use"), strings.Contains(words, "is taken"):
		return "Another program has the port: 'ss -lntup' on its machine tells which."
	case strings.Contains(words, "assign"):
		return "The address is not one of its machine: 'ip addr add' there, or another VIP."
	case strings.Contains(words, "permission"), strings.Contains(words, "denied"):
		return "Ports below 1024 take CAP_NET_BIND_SERVICE: AmbientCapabilities= of its unit."
	case strings.Contains(words, "too many open files"):
		return "Raise its limit of open files: LimitNOFILE= of its unit."
	}
	return "'carillon describe' of the object tells more."
}
