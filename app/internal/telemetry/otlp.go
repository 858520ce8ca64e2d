package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// otlpClient sends spans as OTLP over HTTP (OpenTelemetry Protocol specification, "OTLP/HTTP"). The library's own client
// brings gRPC and its gateway along, though it uses neither, and doubles the size of the program; what there is to do is a
// POST. A batch that cannot be delivered is dropped: to try again would keep newer ones out of the queue.
type otlpClient struct {
	endpoint *url.URL // without the path of a signal
	http     *http.Client
}

// Start implements otlptrace.Client. It connects to nothing: the collector may come and go.
func (*otlpClient) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (c *otlpClient) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// UploadTraces implements otlptrace.Client.
func (c *otlpClient) UploadTraces(ctx context.Context, resources []*spans.ResourceSpans) error {
	// On the wire it is an ExportTraceServiceRequest: both have the same one field.
	body, err := proto.Marshal(&spans.TracesData{ResourceSpans: resources})
	if err != nil {
		return fmt.Errorf("encode spans: %w", err)
	}
	target := c.endpoint.JoinPath("v1/traces").String()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	// Read, so that the connection can be used again; what a collector has to say is short.
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10)); err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("the collector answered %s", response.Status)
	}
	return nil
}
