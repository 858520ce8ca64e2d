package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"bookshelf/infra/release"
	"bookshelf/infra/release/verdict"
)

// Text writes a release in a few lines for a terminal. Control characters of what it shows are replaced, so that nothing in a report
// can do anything to the terminal.
func Text(w io.Writer, r release.Report) error {
	from, to := versionName(r.From), versionName(r.To)
	_, headline := mood(r, from, to)
	var whole bytes.Buffer
	title := fmt.Sprintf("%s: %s (%s → %s, %s, release %s)", r.Outcome, headline, from, to, took(r.Started, r.Ended), r.ID)
	fmt.Fprintln(&whole, plain(title))
	table := tabwriter.NewWriter(&whole, 0, 0, 2, ' ', 0)
	for _, line := range lines(r) {
		fmt.Fprintf(table, "  %s\t%s\n", plain(line[0]), plain(line[1]))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("report of release %s: %w", r.ID, err)
	}
	if _, err := whole.WriteTo(w); err != nil {
		return fmt.Errorf("report of release %s: %w", r.ID, err)
	}
	return nil
}

// lines are what there is to say, each with what it is about.
func lines(r release.Report) [][2]string {
	var all [][2]string
	say := func(about, format string, args ...any) {
		all = append(all, [2]string{about, fmt.Sprintf(format, args...)})
	}
	if r.Reason != "" {
		say("why", "%s", r.Reason)
	}
	for _, phase := range r.Phases {
		if phase.Problem != "" {
			say(phaseName(phase.Phase, phase.Percent), "%s", phase.Problem)
		}
	}
	a := r.Account
	if a.Sent > 0 {
		say("requests", "%s sent = %s answered + %s failed + %s lost; %s by the wrong version",
			count(a.Sent), count(a.Answered), count(a.Failed), count(a.Lost), count(a.WrongVersion))
		if missing := a.Sent - a.Answered - a.Failed - a.Lost; missing != 0 {
			say("requests", "this does not add up: %s are unaccounted for", count(missing))
		}
	}
	if len(a.Losses) > 0 {
		first := a.Losses[0]
		say("the first", "%s at %s: %s", first.Kind, first.At.UTC().Format("15:04:05.000"), first.Detail)
	}
	if w := a.Writes; w != nil {
		say("writes", "%s acknowledged; %s found once, %s missing, %s found more than once, %s found without having been acknowledged",
			count(w.Acknowledged), count(w.Once), count(w.Missing), count(w.Twice), count(w.Unacknowledged))
	}
	for _, row := range latencies(r) {
		say(row.Name, "median %s, 99th percentile %s over %s", milliseconds(row.P50), milliseconds(row.P99), counted(row.Requests, "request"))
	}
	for _, time := range []struct {
		about string
		ms    float64
	}{{"switch", r.SwitchMS}, {"drain", r.DrainMS}, {"rollback", r.RollbackMS}} {
		if time.ms > 0 {
			say(time.about, "%s", milliseconds(time.ms))
		}
	}
	for _, s := range steps(r.Verdicts) {
		for _, check := range s.Last.Checks {
			if check.Decision != verdict.Pass {
				say(s.Name, "%s: %s; %s", check.Name, check.Decision, check.Why)
			}
		}
	}
	if r.Verified != "" {
		say("verified", "%s", r.Verified)
	}
	for _, stays := range r.NotUndone {
		say("stays", "%s", stays)
	}
	return all
}

// plain makes one line of a text and replaces its control characters.
func plain(s string) string {
	s = strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ")
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) {
			return '�'
		}
		return c
	}, s)
}
