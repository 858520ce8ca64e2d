// Package slots is what the edge knows beyond Caddy: named groups of replicas (slots), the share of traffic that each gets,
// the health of each replica, and what is in flight. Weights and membership change in memory, between two requests; no
// connection is touched by a change. The package knows no HTTP server.
package slots

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Request asks for a new state. It replaces all slots at once, or nothing.
type Request struct {
	Slots map[string]Spec `json:"slots"`
	// LeaseSeconds and Fallback go together: unless another request arrives within that time, the weights become Fallback by
	// themselves. So a driver that was killed leaves no canary behind.
	LeaseSeconds *int           `json:"lease_seconds,omitempty"`
	Fallback     map[string]int `json:"fallback,omitempty"`
	// IfGeneration refuses the request when the state is another by now.
	IfGeneration *uint64 `json:"if_generation,omitempty"`
}

// Spec is one slot as asked for.
type Spec struct {
	Weight   *int      `json:"weight"` // per cent, from 0 to 100; a pointer tells 0 from forgotten
	Replicas []Address `json:"replicas"`
}

// Address is where one replica listens, as host:port.
type Address struct {
	Address string `json:"address"` // requests and readiness
	Admin   string `json:"admin"`   // metrics
}

// InvalidError says everything that is wrong with a request. The state is as it was.
type InvalidError struct{ Problems []string }

func (e *InvalidError) Error() string { return strings.Join(e.Problems, "; ") }

// ConflictError says that the state is not the one the request was made for. The state is as it was.
type ConflictError struct{ Wanted, Is uint64 }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("if_generation: the state is generation %d, not %d", e.Is, e.Wanted)
}

const (
	maxRequest = 1 << 20 // bytes
	maxLease   = 24 * time.Hour
)

// ParseRequest reads one request as JSON. The error is an *InvalidError for all that the sender can mend.
func ParseRequest(r io.Reader) (Request, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxRequest+1))
	if err != nil {
		return Request{}, fmt.Errorf("read the request: %w", err)
	}
	if len(text) > maxRequest {
		return Request{}, &InvalidError{[]string{fmt.Sprintf("the request is longer than %d bytes", maxRequest)}}
	}
	var req Request
	if err := decode(text, &req); err != nil {
		return Request{}, &InvalidError{[]string{err.Error()}}
	}
	if problems := req.problems(); len(problems) > 0 {
		return Request{}, &InvalidError{problems}
	}
	return req, nil
}

// decode reads exactly one JSON value without unknown fields.
func decode(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s: must be %s, is a JSON %s", wrong.Field, kind(wrong.Type.Kind().String()), wrong.Value)
	}
	if err != nil {
		return fmt.Errorf("not the JSON that is expected: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("not the JSON that is expected: something follows the object")
	}
	return nil
}

// kind translates Go's kinds to what a sender of JSON calls them.
func kind(goKind string) string {
	switch goKind {
	case "int", "uint64":
		return "a whole number"
	case "struct", "map":
		return "an object"
	case "slice":
		return "a list"
	default:
		return "a " + goKind
	}
}

var slotName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// problems lists what is wrong with the request, in a stable order.
func (r Request) problems() []string {
	var list []string
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if r.Slots == nil {
		add("slots: is required")
	}
	seen := map[string]string{}
	sum := 0
	for _, name := range slices.Sorted(maps.Keys(r.Slots)) {
		spec, path := r.Slots[name], "slots."+name
		if !slotName.MatchString(name) || len(name) > 63 {
			add("slots: the name %q does not match %s with at most 63 characters", name, slotName)
		}
		switch {
		case spec.Weight == nil:
			add("%s.weight: is required", path)
		case *spec.Weight < 0 || *spec.Weight > 100:
			add("%s.weight: must be from 0 to 100, is %d", path, *spec.Weight)
		default:
			sum += *spec.Weight
			if *spec.Weight > 0 && len(spec.Replicas) == 0 {
				add("%s.replicas: a slot with weight needs at least one", path)
			}
		}
		for i, replica := range spec.Replicas {
			at := fmt.Sprintf("%s.replicas[%d].address", path, i)
			list = append(list, addressProblem(at, replica.Address)...)
			list = append(list, addressProblem(fmt.Sprintf("%s.replicas[%d].admin", path, i), replica.Admin)...)
			if first, twice := seen[replica.Address]; twice {
				add("%s: %s is %s already", at, replica.Address, first)
			}
			seen[replica.Address] = at
		}
	}
	if len(list) == 0 && len(r.Slots) > 0 && sum != 100 {
		add("slots: the weights must sum to 100, they sum to %d", sum)
	}
	return append(list, r.leaseProblems()...)
}

func (r Request) leaseProblems() []string {
	switch {
	case r.LeaseSeconds == nil && r.Fallback == nil:
		return nil
	case r.LeaseSeconds == nil:
		return []string{"lease_seconds: is required with fallback"}
	case r.Fallback == nil:
		return []string{"fallback: is required with lease_seconds"}
	}
	var list []string
	if s := *r.LeaseSeconds; s < 1 || s > int(maxLease/time.Second) {
		list = append(list, fmt.Sprintf("lease_seconds: must be from 1 to %d, is %d", int(maxLease/time.Second), s))
	}
	sum := 0
	for _, name := range slices.Sorted(maps.Keys(r.Fallback)) {
		weight := r.Fallback[name]
		sum += weight
		spec, known := r.Slots[name]
		switch {
		case !known:
			list = append(list, fmt.Sprintf("fallback.%s: there is no such slot in the request", name))
		case weight < 0 || weight > 100:
			list = append(list, fmt.Sprintf("fallback.%s: must be from 0 to 100, is %d", name, weight))
		case weight > 0 && len(spec.Replicas) == 0:
			list = append(list, fmt.Sprintf("fallback.%s: a slot with weight needs at least one replica", name))
		}
	}
	if len(list) == 0 && sum != 100 {
		list = append(list, fmt.Sprintf("fallback: the weights must sum to 100, they sum to %d", sum))
	}
	return list
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$`)

func addressProblem(path, address string) []string {
	host, portText, err := net.SplitHostPort(address)
	port, portErr := strconv.ParseUint(portText, 10, 16)
	known := hostName.MatchString(host) || net.ParseIP(host) != nil
	if err != nil || portErr != nil || port == 0 || !known || len(address) > 300 {
		return []string{fmt.Sprintf("%s: must be host:port, is %q", path, address)}
	}
	return nil
}
