package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// measurement is what was measured of one operation, a value for each round.
type measurement struct {
	Name       string    `json:"name"`
	Target     float64   `json:"target,omitempty"`
	TargetOfPG bool      `json:"target_is_of_limit_pg,omitempty"` // otherwise it is of the limit
	Service    []float64 `json:"service_per_second"`
	PostgreSQL []float64 `json:"limit_pg_per_second,omitempty"` // none when the service needs no statement
	HTTP       []float64 `json:"limit_http_per_second"`
	CPU        []float64 `json:"cpu_seconds_per_request"` // of the service alone
	Allocs     []float64 `json:"allocations_per_request"`
	Bytes      []float64 `json:"allocated_bytes_per_request"`
	HalfRate   latency   `json:"at_half_rate"`
}

// latency is of an open loop: from the moment at which a request should have been sent, in seconds.
type latency struct {
	PerSec float64 `json:"requests_per_second"`
	P50    float64 `json:"p50_seconds"`
	P99    float64 `json:"p99_seconds"`
}

// spread is a median with the least and the greatest value.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// report is a whole run.
type report struct {
	Go          string        `json:"go"`
	PostgreSQL  string        `json:"postgresql"`
	CPUs        int           `json:"cpus"`
	Connections int           `json:"connections"`
	Pool        int           `json:"pool"`
	Books       int           `json:"books"`
	Rounds      int           `json:"rounds"`
	Seconds     int           `json:"seconds_per_measurement"`
	Operations  []measurement `json:"operations"`
	PeakRSSMiB  float64       `json:"peak_rss_mib"`
	ColdStart   spread        `json:"cold_start_seconds"`
}

// MarshalJSON adds the ratios, which are what a reader looks for.
func (m measurement) MarshalJSON() ([]byte, error) {
	type plain measurement
	return json.Marshal(struct {
		plain
		OfLimit spread  `json:"of_limit"`
		OfPG    spread  `json:"of_limit_pg"`
		Tail    float64 `json:"p99_of_p50_at_half_rate"`
	}{plain(m), m.ofLimit(), m.ofPostgreSQL(), m.tail()})
}

// limit is the rate at which both parts of one request take as long as they do alone, one after the other.
func limit(pg, http float64) float64 { return 1 / (1/pg + 1/http) }

// ofLimit is the service's rate as a share of its limit.
func (m measurement) ofLimit() spread {
	return ratios(m.Service, func(i int) float64 {
		if m.PostgreSQL == nil {
			return m.HTTP[i]
		}
		return limit(m.PostgreSQL[i], m.HTTP[i])
	})
}

// ofPostgreSQL is the same of PostgreSQL alone; zero when it was not measured.
func (m measurement) ofPostgreSQL() spread {
	if m.PostgreSQL == nil {
		return spread{}
	}
	return ratios(m.Service, func(i int) float64 { return m.PostgreSQL[i] })
}

// mark is the target as a share of the limit, 0 when it is of something else.
func (m measurement) mark() float64 {
	if m.TargetOfPG {
		return 0
	}
	return m.Target
}

func (m measurement) tail() float64 { return m.HalfRate.P99 / m.HalfRate.P50 }

// ratios compares round by round.
func ratios(values []float64, to func(round int) float64) spread {
	all := make([]float64, len(values))
	for i, v := range values {
		all[i] = v / to(i)
	}
	return spreadOf(all)
}

func spreadOf(values []float64) spread {
	return spread{Median: median(values), Min: slices.Min(values), Max: slices.Max(values)}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// write leaves latest.json and latest.svg in the folder, and prints a table.
func (r *report) write(dir string, stdout io.Writer) error {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	err = errors.Join(
		os.MkdirAll(dir, 0o755),
		os.WriteFile(filepath.Join(dir, "latest.json"), append(content, '\n'), 0o644),
		os.WriteFile(filepath.Join(dir, "latest.svg"), []byte(r.picture()), 0o644),
	)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "operation\tof its limit\t(min–max)\ttarget\tof pgbench\tp99 / p50 at half rate\tallocs\tKiB\tCPU µs\t")
	for _, m := range r.Operations {
		of, target, ofPG := m.ofLimit(), "–", "–"
		if m.PostgreSQL != nil {
			ofPG = fmt.Sprintf("%.2f", m.ofPostgreSQL().Median)
		}
		if m.Target > 0 {
			target = fmt.Sprintf("%.2f", m.Target)
			if m.TargetOfPG {
				target += " of pgbench"
			}
		}
		fmt.Fprintf(table, "%s\t%.2f\t(%.2f–%.2f)\t%s\t%s\t%.1f\t%.0f\t%.1f\t%.0f\t\n", m.Name, of.Median, of.Min, of.Max, target,
			ofPG, m.tail(), median(m.Allocs), median(m.Bytes)/1024, median(m.CPU)*1e6)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "cold start to ready %.0f ms (%.0f–%.0f); peak resident memory %.0f MiB; %s and latest.svg have the rest\n",
		r.ColdStart.Median*1e3, r.ColdStart.Min*1e3, r.ColdStart.Max*1e3, r.PeakRSSMiB, filepath.Join(dir, "latest.json"))
	return nil
}

// picture draws the ratios as bars with their spread, and the targets as marks.
func (r *report) picture() string {
	const (
		left, top, width, row = 90, 56, 520, 46
		below                 = 58
	)
	greatest := 1.0
	for _, m := range r.Operations {
		greatest = max(greatest, m.ofLimit().Max, m.mark())
	}
	greatest = math.Ceil(greatest*10+0.5) / 10
	x := func(ratio float64) float64 { return left + ratio/greatest*width }
	bottom := top + row*len(r.Operations)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n",
		left+width+90, bottom+below)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n")
	fmt.Fprintf(&b, `<text x="16" y="26" font-size="16" font-weight="bold">The service's rate as a share of its limit</text>`+"\n")
	for tick := 0.0; tick <= greatest+1e-9; tick += 0.25 {
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#ddd"/>`+
			`<text x="%.1f" y="%d" text-anchor="middle" fill="#555">%.2f</text>`+"\n",
			x(tick), top-8, x(tick), bottom, x(tick), bottom+18, tick)
	}
	for i, m := range r.Operations {
		y, of := top+i*row, m.ofLimit()
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", left-10, y+20, html.EscapeString(m.Name))
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%.1f" height="24" fill="#5b8db8"/>`+"\n", left, y+4, x(of.Median)-left)
		fmt.Fprintf(&b, `<path d="M%.1f %dV%dM%.1f %dH%.1fM%.1f %dV%d" stroke="#222" fill="none"/>`+"\n",
			x(of.Min), y+10, y+22, x(of.Min), y+16, x(of.Max), x(of.Max), y+10, y+22)
		if m.mark() > 0 {
			fmt.Fprintf(&b, `<path d="M%.1f %dV%d" stroke="#c0392b" stroke-width="3"/>`+"\n", x(m.mark()), y, y+32)
		}
		fmt.Fprintf(&b, `<text x="%.1f" y="%d">%.2f</text>`+"\n", x(max(of.Max, m.mark()))+8, y+21, of.Median)
	}
	fmt.Fprintf(&b, `<text x="16" y="%d" fill="#555">Bars: median of %d rounds; lines: least and greatest; red: target. `+
		`%d CPUs, %s, PostgreSQL %s.</text>`+"\n</svg>\n",
		bottom+44, r.Rounds, r.CPUs, html.EscapeString(r.Go), html.EscapeString(r.PostgreSQL))
	return b.String()
}
