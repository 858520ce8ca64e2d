package exchange

import (
	"net/http"
)

// StatusClientGone is what the log and the metrics say when the client left before its answer; nothing is sent. The number
// is nginx', which operators know.
const StatusClientGone = 499

// Recorder remembers what was sent.
type Recorder struct {
	http.ResponseWriter

	Status int   // 0 until the header is sent
	Bytes  int64 // of the body

	info *Info
}

// WriteHeader implements http.ResponseWriter.
func (rec *Recorder) WriteHeader(status int) {
	if rec.Status == 0 && status >= http.StatusOK { // 1xx is not the answer yet
		rec.Status = status
	}
	rec.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter; as there, the first call sends a 200 when no header was sent.
func (rec *Recorder) Write(p []byte) (int, error) {
	if rec.Status == 0 {
		rec.Status = http.StatusOK
	}
	n, err := rec.ResponseWriter.Write(p)
	rec.Bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (rec *Recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

// Outcome is the status to log and to count, once the inner handlers are done.
func (rec *Recorder) Outcome() int {
	if rec.info.Status != 0 {
		return rec.info.Status
	}
	if rec.Status != 0 {
		return rec.Status
	}
	return http.StatusOK // net/http sends it for a handler that wrote nothing
}
