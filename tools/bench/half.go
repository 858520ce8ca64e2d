package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"

	"bookshelf/tools/internal/load"
)

// runLoad is the load generator, which has a process of its own so that its work is not counted as this one's. Standard input says
// what to do, standard output gets the result, both as JSON.
func runLoad(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	var spec load.Spec
	if err := json.NewDecoder(stdin).Decode(&spec); err != nil {
		return fmt.Errorf("read what to do: %w", err)
	}
	result, err := load.Run(ctx, spec)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(result)
}

// runBare serves what the service answered, byte by byte, without doing anything for it: what is left is net/http's own
// cost. Standard input has the answers by operation; standard output gets the address of each.
func runBare(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	var answers map[string]sample
	if err := json.NewDecoder(stdin).Decode(&answers); err != nil {
		return fmt.Errorf("read the answers: %w", err)
	}
	addrs := map[string]string{}
	for name, answer := range answers {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		addrs[name] = listener.Addr().String()
		go serveBare(listener, answer)
	}
	if err := json.NewEncoder(stdout).Encode(addrs); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// serveBare ends with the process.
func serveBare(listener net.Listener, answer sample) {
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		header := w.Header()
		maps.Copy(header, answer.Header)
		header["Content-Length"] = []string{strconv.Itoa(len(answer.Body))}
		w.WriteHeader(answer.Status)
		_, _ = w.Write(answer.Body)
	})}
	_ = server.Serve(listener)
}
