package edgetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestBodiesAreStreamed(t *testing.T) {
	t.Parallel()
	blue := newReplica(t, "blue")
	e := newEdge(t)
	e.start()
	e.set(ask("", slot("blue", 100, blue)))
	e.healthy()
	// The first byte of the body has reached the replica long before the last is written.
	body, feed := io.Pipe()
	done := make(chan string, 1)
	go func() {
		res, err := http.Post("http://"+e.http+"/", "application/octet-stream", body)
		if err != nil {
			done <- err.Error()
			return
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		done <- string(text)
	}()
	const size = 64 << 20
	block := bytes.Repeat([]byte("x"), 1<<20)
	for i := range size / len(block) {
		if _, err := feed.Write(block); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			e.eventually("the request is at the replica with its body unfinished", func() error {
				if blue.requests.Load() == 0 {
					return errors.New("it is not")
				}
				return nil
			})
		}
	}
	feed.Close()
	if got, want := <-done, fmt.Sprintf("blue %d", size); got != want {
		t.Errorf("the answer is %q, not %q", got, want)
	}
}

func TestHeadersSayWhoAskedAndNothingOfCaddy(t *testing.T) {
	t.Parallel()
	blue := newReplica(t, "blue")
	e := newEdge(t)
	e.start()
	e.set(ask("", slot("blue", 100, blue)))
	e.healthy()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+e.http+"/echo", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "Forwarded", "X-Real-Ip", "Via", "Delivery-Slot"} {
		req.Header.Set(name, "forged")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	seen := string(text)
	if strings.Contains(seen, "forged") || strings.Contains(seen, "Caddy") {
		t.Errorf("the replica was told:\n%s", seen)
	}
	for _, want := range []string{"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: " + e.http} {
		if !strings.Contains(seen, want) {
			t.Errorf("the replica was not told %q:\n%s", want, seen)
		}
	}
	header := get(t, "http://"+e.http+"/").header
	if header.Get("Delivery-Slot") != "blue" || len(header.Values("Delivery-Slot")) != 1 ||
		header.Get("Via") != "" || strings.Contains(header.Get("Server"), "Caddy") {
		t.Errorf("the client was told %v", header)
	}
}

func TestAnOversizedHeaderIsRefused(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.start()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+e.http+"/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Long", strings.Repeat("x", 80<<10))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("the answer is %s", res.Status)
	}
}
