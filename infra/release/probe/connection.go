package probe

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"syscall"
	"time"
)

// Limits of an exchange.
const (
	// pieces is how many parts the body of a slow request is sent in.
	pieces = 10
	// maxInformational is how many 1xx responses may come before the answer.
	maxInformational = 10
)

// errNoEnd is the verdict on an answer that has neither a length nor chunks. It ends with its connection, and nobody can tell its end
// from its being cut off (RFC 9112, section 8).
var errNoEnd = errors.New("the answer does not say where it ends")

// errAnswered ends the sending of a request whose answer is there already.
var errAnswered = errors.New("answered before the request was sent")

// connection is an HTTP/1.1 connection that carries one request at a time and repeats none. net/http's Transport would send a request
// again when a kept connection breaks, and so hide what is to be counted here.
type connection struct {
	net.Conn
	beneath syscall.RawConn // TCP, also when Conn is TLS
	reader  *bufio.Reader
	kept    bool
}

// answer is the part of a response that matters here.
type answer struct {
	status int
	header http.Header
	// again says that the connection can carry another request.
	again bool
}

// usable reports whether an idle connection is still open and silent. One that the other side has closed is no loss: nothing was sent on
// it. Neither is one on which something came that nobody asked for; whatever it is, the next answer would not be the first to be read.
func (c *connection) usable() bool {
	if c.reader.Buffered() > 0 || c.SetDeadline(time.Time{}) != nil {
		return false
	}
	var peeked error
	err := c.beneath.Read(func(fd uintptr) bool {
		_, _, peeked = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return true
	})
	return err == nil && errors.Is(peeked, syscall.EAGAIN)
}

// exchange sends a request, its body spread over a time, and reads the answer to its end. The answer has what is known of it also when
// there is an error.
func (c *connection) exchange(request *http.Request, over time.Duration) (answer, error) {
	var message bytes.Buffer
	if err := request.Write(&message); err != nil {
		return answer{}, fmt.Errorf("write the request: %w", err)
	}
	if over == 0 {
		_, sendErr := c.Write(message.Bytes())
		got, err := c.receive(request) // perhaps it was refused before all of it was there
		if err != nil && sendErr != nil {
			err = fmt.Errorf("send: %w", sendErr)
		}
		got.again = got.again && sendErr == nil
		return got, err
	}
	answered := make(chan struct{})
	sent := make(chan error, 1)
	go func() { sent <- c.trickle(message.Bytes(), over, answered) }()
	got, err := c.receive(request)
	close(answered)
	sendErr := <-sent
	if err != nil && sendErr != nil && !errors.Is(sendErr, errAnswered) {
		err = fmt.Errorf("send: %w", sendErr)
	}
	got.again = got.again && sendErr == nil
	return got, err
}

// trickle sends the head of a request at once and its body piece by piece, until it is answered.
func (c *connection) trickle(message []byte, over time.Duration, answered <-chan struct{}) error {
	const headEnd = "\r\n\r\n"
	head := bytes.Index(message, []byte(headEnd)) + len(headEnd)
	if _, err := c.Write(message[:head]); err != nil {
		return err
	}
	body := message[head:]
	timer := time.NewTicker(over / pieces)
	defer timer.Stop()
	for i := range pieces {
		select {
		case <-timer.C:
		case <-answered:
			return errAnswered
		}
		if _, err := c.Write(body[i*len(body)/pieces : (i+1)*len(body)/pieces]); err != nil {
			return err
		}
	}
	return nil
}

// receive reads the answer, past informational responses.
func (c *connection) receive(request *http.Request) (answer, error) {
	for range maxInformational {
		response, err := http.ReadResponse(c.reader, request)
		if err != nil {
			return answer{}, fmt.Errorf("no answer: %w", err)
		}
		if response.StatusCode >= 200 || response.StatusCode == http.StatusSwitchingProtocols {
			return c.finish(response)
		}
	}
	return answer{}, fmt.Errorf("no answer after %d informational responses", maxInformational)
}

// finish reads a response to its declared end.
func (c *connection) finish(response *http.Response) (answer, error) {
	defer response.Body.Close()
	got := answer{status: response.StatusCode, header: response.Header}
	if response.StatusCode == http.StatusSwitchingProtocols {
		return got, errors.New("the answer changes the protocol")
	}
	read, err := io.Copy(io.Discard, response.Body)
	if err != nil {
		return got, fmt.Errorf("the answer broke off after %d bytes of its body: %w", read, err)
	}
	if response.Body != http.NoBody && response.ContentLength < 0 && !slices.Contains(response.TransferEncoding, "chunked") {
		return got, errNoEnd
	}
	got.again = !response.Close && c.reader.Buffered() == 0
	return got, nil
}
