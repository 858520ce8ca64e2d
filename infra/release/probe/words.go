package probe

import (
	"crypto/sha256"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// words knows what the words of the templates stand for. All follow from the run and the numbers of a request, so that none needs to be
// remembered.
type words struct {
	run    string
	prefix string
	// first is the number within the prefix's range that the first write gets.
	first uint64
}

// newWords chooses the numbers of a run by the clock. The clock has passed a run's last number when the run ends, because it counts at
// least as fast as writes are sent: a later run starts beyond it. At 25 writes a second it takes 46 days until numbers come again.
func newWords(c Config, run string, start time.Time) words {
	perSecond := math.Ceil(c.Rate*(c.Shares.Write+c.Shares.Slow)) + 1
	return words{run: run, prefix: c.EAN13Prefix, first: uint64(float64(start.Unix()) * perSecond)}
}

// fill replaces the words of a template. A write is the ordinal-th of its run, beginning with 0.
func (w words) fill(template string, n, ordinal int) string {
	if !strings.Contains(template, "{{") {
		return template
	}
	return strings.NewReplacer(
		"{{run}}", w.run, "{{n}}", strconv.Itoa(n), "{{ean13}}", w.ean13(ordinal), "{{uuid}}", w.uuid(n),
	).Replace(template)
}

// ean13 returns the number of a write, with its check digit (ISO/IEC 15420).
func (w words) ean13(ordinal int) string {
	width := 12 - len(w.prefix)
	span := uint64(math.Pow10(width))
	digits := fmt.Sprintf("%s%0*d", w.prefix, width, (w.first+uint64(ordinal))%span)
	sum := 0
	for i, digit := range digits {
		sum += (1 + i%2*2) * int(digit-'0')
	}
	return digits + strconv.Itoa((10-sum%10)%10)
}

// uuid returns a version 8 UUID (RFC 9562, section 5.8) made of the run and the request's number.
func (w words) uuid(n int) string {
	b := sha256.Sum256([]byte(w.idempotencyKey(n)))
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

func (w words) idempotencyKey(n int) string { return w.run + "-" + strconv.Itoa(n) }
