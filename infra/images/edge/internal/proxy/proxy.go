// Package proxy is the small part of the edge that Caddy does not have: three modules that send requests where a
// slots.Table says and account for them. Caddy does the rest.
package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"go.uber.org/zap"

	"bookshelf/edge/internal/slots"
)

// SlotHeader names the slot that answered. It is on every answer of a slot and on no other.
const SlotHeader = "Delivery-Slot"

// passageKey is where the request's Passage is among Caddy's variables.
const passageKey = "slots.passage"

// Register makes the modules known to Caddy, bound to table. Once per process: the configuration is loaded once, too.
//
//	http.handlers.slots                       counts requests, names the slot, answers when no replica could
//	http.reverse_proxy.selection_policies.slots   asks the table for a replica
//	http.reverse_proxy.transport.slots        Caddy's http transport; tells the table which replica cannot be reached
func Register(table *slots.Table) {
	caddy.RegisterModule(Handler{table: table})
	caddy.RegisterModule(Policy{})
	caddy.RegisterModule(Transport{})
}

// Handler stands before reverse_proxy and follows each request from its first attempt to the last byte of its answer.
type Handler struct {
	// RetryAfter is what a client is told when no replica was healthy for as long as the proxy tries.
	RetryAfter caddy.Duration `json:"retry_after,omitempty"`
	// Hosts are those whose certificates the metrics tell about.
	Hosts []string `json:"hosts,omitempty"`

	table *slots.Table
	log   *zap.Logger
}

// CaddyModule implements caddy.Module.
func (h Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.slots",
		New: func() caddy.Module { return &Handler{table: h.table} },
	}
}

// Provision implements caddy.Provisioner: the metrics join Caddy's.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.log = ctx.Logger()
	watch, err := watchCertificates(ctx, h.Hosts)
	if err != nil {
		return err
	}
	for _, c := range []collector{tableMetrics(h.table), watch.metrics} {
		if err := ctx.GetMetricsRegistry().Register(c); err != nil {
			return fmt.Errorf("register the metrics of the slots: %w", err)
		}
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	passage := h.table.Begin()
	answer := &answer{ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: w}, passage: passage}
	caddyhttp.SetVar(r.Context(), passageKey, passage)
	status := 0
	// Deferred, because Caddy's proxy panics when an answer breaks off after its header.
	defer func() {
		if status == 0 && r.Context().Err() != nil {
			status = 499 // the client left; that is nobody's failure
		}
		passage.End(status)
	}()
	err := next.ServeHTTP(answer, r)
	if err == nil {
		status = answer.status
		return nil
	}
	if answer.status != 0 { // too late for another answer
		return err
	}
	h.refuse(w, r, err)
	return nil
}

// refuse answers for a slot that could not, as application/problem+json (RFC 9457).
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, cause error) {
	code := http.StatusInternalServerError
	if known, ok := errors.AsType[caddyhttp.HandlerError](cause); ok && known.StatusCode != 0 {
		code = known.StatusCode
	}
	h.log.Error("no replica answered", zap.Error(cause), zap.Int("status", code), zap.String("method", r.Method), zap.String("path", r.URL.Path))
	body, err := json.Marshal(map[string]any{"type": "about:blank", "title": http.StatusText(code), "status": code})
	if err != nil {
		body = nil // cannot be: two strings and a number
	}
	header := w.Header()
	header.Set("Content-Type", "application/problem+json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	if code == http.StatusServiceUnavailable {
		header.Set("Retry-After", strconv.Itoa(int(math.Ceil(time.Duration(h.RetryAfter).Seconds()))))
	}
	w.WriteHeader(code)
	if r.Method != http.MethodHead {
		// The client may have left; there is nobody else to tell.
		_, _ = w.Write(body)
	}
}

// answer notes the status of a slot's answer and writes the slot's name over whatever the replica put there.
type answer struct {
	caddyhttp.ResponseWriterWrapper
	passage *slots.Passage
	status  int
}

// WriteHeader implements http.ResponseWriter. Informational answers come before the one that counts.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		a.status = status
	}
	if slot := a.passage.Slot(); slot != "" {
		a.Header().Set(SlotHeader, slot)
	}
	a.ResponseWriterWrapper.WriteHeader(status)
}

// passageOf returns the Passage that Handler has put into the request.
func passageOf(ctx context.Context) *slots.Passage {
	passage, _ := caddyhttp.GetVar(ctx, passageKey).(*slots.Passage)
	return passage
}

// Policy asks the table. The pool that Caddy offers is empty: what the replicas are is for the table to know.
type Policy struct{}

// CaddyModule implements caddy.Module.
func (Policy) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.selection_policies.slots",
		New: func() caddy.Module { return new(Policy) },
	}
}

// Select implements reverseproxy.Selector.
func (Policy) Select(_ reverseproxy.UpstreamPool, r *http.Request, _ http.ResponseWriter) *reverseproxy.Upstream {
	address := passageOf(r.Context()).Choose()
	if address == "" {
		return nil
	}
	return &reverseproxy.Upstream{Dial: address, Host: new(reverseproxy.Host)}
}

// Transport is Caddy's http transport, configured alike.
type Transport struct{ reverseproxy.HTTPTransport }

// CaddyModule implements caddy.Module.
func (Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.transport.slots",
		New: func() caddy.Module { return new(Transport) },
	}
}

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := t.HTTPTransport.RoundTrip(r)
	// A client that leaves while its request waits for a connection says nothing about the replica.
	if _, ok := errors.AsType[reverseproxy.DialError](err); ok && r.Context().Err() == nil {
		passageOf(r.Context()).Unreachable(err)
	}
	return res, err
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
	_ reverseproxy.Selector       = Policy{}
	_ http.RoundTripper           = (*Transport)(nil)
)
