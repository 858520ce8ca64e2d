package probe

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkOverhead compares the CPU time of a request of the probe with that of a bare loop, which writes the same bytes to a kept
// connection and reads the answer, against the same server in the same run.
func BenchmarkOverhead(b *testing.B) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { listener.Close() })
	go func() { // ends with its listener; the connections end with their clients
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				reader := bufio.NewReader(conn)
				for {
					if _, err := http.ReadRequest(reader); err != nil {
						return
					}
					if _, err := conn.Write([]byte(whole)); err != nil {
						return
					}
				}
			}()
		}
	}()
	url := "http://" + listener.Addr().String()
	c := reading(1000)
	var bare, probed time.Duration
	b.ResetTimer()
	bare = cpu(b, func() { loop(b, listener.Addr().String(), b.N) })
	probed = cpu(b, func() {
		p, err := Start(b.Context(), c, url, "run-1")
		if err != nil {
			b.Fatal(err)
		}
		for p.ledger.account().Sent < b.N {
			<-time.After(50 * time.Millisecond)
		}
		account := p.Stop(b.Context())
		if account.Answered != account.Sent {
			b.Fatalf("%+v", account)
		}
		b.ReportMetric(float64(account.Sent), "sent")
	})
	b.ReportMetric(float64(probed)/float64(max(bare, 1)), "cpu-ratio")
	b.ReportMetric(float64(probed.Microseconds())/float64(b.N), "cpu-us/request")
}

// loop sends n requests one after the other.
func loop(b *testing.B, address string, n int) {
	b.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	message := fmt.Appendf(nil, "GET /things?run=run-1&n=1 HTTP/1.1\r\nHost: %s\r\nUser-Agent: bare\r\n\r\n", address)
	answer := make([]byte, len(whole))
	for range n {
		if _, err := conn.Write(message); err != nil {
			b.Fatal(err)
		}
		for got := 0; got < len(whole); {
			read, err := conn.Read(answer[got:])
			if err != nil {
				b.Fatal(err)
			}
			got += read
		}
	}
	if !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
		b.Fatalf("the answer is %q", answer)
	}
}

// cpu is the processor time that something takes of this process.
func cpu(b *testing.B, do func()) time.Duration {
	b.Helper()
	spent := func() time.Duration {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			b.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	before := spent()
	do()
	return spent() - before
}
