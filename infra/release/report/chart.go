package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"bookshelf/infra/release"
)

// maxPoints is how many points a curve has at most. A longer release is drawn with several seconds to a point.
const maxPoints = 240

// chart is one picture over time.
type chart struct {
	Title, Note string
	Height      px // of all of it
	Top, Bottom px // of the plot
	Rows        []tick
	Columns     []tick
	Marks       []tick // where a phase begins, with the weight that it has
	Shapes      []shape
	Hovers      []hover
}

// shape is a filled area or a line.
type shape struct {
	Class, Path string
}

// hover is a piece of time that says its figures when it is pointed at.
type hover struct {
	X, Width px
	Text     string
}

// point is what happened in one or several seconds.
type point struct {
	at    time.Time
	slots map[string]release.SlotSecond // requests, failed and lost per second
}

// points puts seconds together, at most so many that maxPoints come out.
func points(seconds []release.Second) (all []point, each int) {
	each = max(1, (len(seconds)+maxPoints-1)/maxPoints)
	for begin := 0; begin < len(seconds); begin += each {
		group := seconds[begin:min(begin+each, len(seconds))]
		p := point{at: group[0].At, slots: map[string]release.SlotSecond{}}
		for _, second := range group {
			for slot, s := range second.Slots {
				sum := p.slots[slot]
				if n := sum.Requests + s.Requests; n > 0 {
					sum.P50 = (sum.P50*float64(sum.Requests) + s.P50*float64(s.Requests)) / float64(n)
				}
				sum.P99 = max(sum.P99, s.P99)
				sum.Requests, sum.Failed, sum.Lost = sum.Requests+s.Requests, sum.Failed+s.Failed, sum.Lost+s.Lost
				p.slots[slot] = sum
			}
		}
		all = append(all, p)
	}
	return all, each
}

// charts draws what the seconds tell; none where there are no seconds.
func charts(r release.Report, s span) []chart {
	if len(r.Seconds) == 0 {
		return nil
	}
	d := drawing{report: r, span: s, slots: slotsOf(r)}
	d.points, d.each = points(r.Seconds)
	all := []chart{d.requests()}
	if r.Account.Failed+r.Account.Lost > 0 {
		all = append(all, d.errors())
	}
	return append(all,
		d.latency("Latency, 99th percentile", "the highest", func(s release.SlotSecond) float64 { return s.P99 }),
		d.latency("Latency, median", "the mean", func(s release.SlotSecond) float64 { return s.P50 }))
}

// drawing is what all charts of a page share.
type drawing struct {
	report release.Report
	span   span
	slots  []string
	points []point
	each   int // seconds to a point
}

// frame is an empty chart.
func (d drawing) frame(title, note string, height px) chart {
	c := chart{Title: title, Note: note, Height: height + 40, Top: 16, Bottom: 16 + height, Columns: d.span.ticks(), Marks: d.marks()}
	if d.each > 1 {
		c.Note = strings.TrimPrefix(fmt.Sprintf("%s; %d seconds to a point", note, d.each), "; ")
	}
	for i, p := range d.points {
		x := d.span.x(p.at)
		end := d.span.x(p.at.Add(time.Duration(d.each) * time.Second))
		if i+1 < len(d.points) {
			end = d.span.x(d.points[i+1].at)
		}
		c.Hovers = append(c.Hovers, hover{X: x, Width: max(end-x, 0.1), Text: d.tell(p)})
	}
	return c
}

// tell puts a point into words.
func (d drawing) tell(p point) string {
	var text strings.Builder
	text.WriteString(clock(p.at))
	for _, slot := range d.slots {
		s, ok := p.slots[slot]
		if !ok {
			continue
		}
		name := slot
		if slot == "" {
			name = "no slot"
		}
		fmt.Fprintf(&text, "\n%s: %s, %s failed, %s lost", name, counted(s.Requests, "request"), count(s.Failed), count(s.Lost))
		if s.P99 > 0 {
			fmt.Fprintf(&text, ", p50 %s, p99 %s", milliseconds(s.P50), milliseconds(s.P99))
		}
	}
	return text.String()
}

// marks are the beginnings of the phases in which traffic moves. A label that has no room is left out; its line stays.
func (d drawing) marks() []tick {
	var all []tick
	free := px(0)
	for _, phase := range d.report.Phases {
		var label string
		switch phase.Phase {
		case release.PhaseCanary:
			label = fmt.Sprintf("%d %%", phase.Percent)
		case release.PhaseBake, release.PhaseCommit, release.PhaseRollback:
			label = string(phase.Phase)
		default:
			continue
		}
		x := d.span.x(phase.Started)
		end := x + px(float64(len(label))*charWidth+labelSpace)
		if x < free || end > plotRight {
			label = ""
		} else {
			free = end
		}
		all = append(all, tick{At: x, Label: label})
	}
	return all
}

// middle is where the value of a point is drawn.
func (d drawing) middle(p point) px {
	return d.span.x(p.at.Add(time.Duration(d.each) * time.Second / 2))
}

// requests draws how many each slot answered, one slot upon the other.
func (d drawing) requests() chart {
	c := d.frame("Requests per second", "by the slot that answered", 150)
	highest := 0.0
	for _, p := range d.points {
		sum := 0
		for _, s := range p.slots {
			sum += s.Requests
		}
		highest = max(highest, float64(sum)/float64(d.each))
	}
	top := roundUp(highest, linearSteps)
	c.Rows = c.linear(top)
	base := make([]float64, len(d.points))
	for _, slot := range d.slots {
		var area path
		upper := make([]float64, len(base))
		for i, p := range d.points {
			upper[i] = base[i] + float64(p.slots[slot].Requests)/float64(d.each)
			area.point("ML"[min(i, 1)], d.middle(p), c.level(upper[i]/top))
		}
		for i, lower := range slices.Backward(base) {
			area.point('L', d.middle(d.points[i]), c.level(lower/top))
		}
		area.WriteByte('Z')
		c.Shapes = append(c.Shapes, shape{Class: "area " + slotClass(d.report, slot), Path: area.String()})
		base = upper
	}
	return c
}

// errors draws a bar for each point with failed or lost requests.
func (d drawing) errors() chart {
	c := d.frame("Failed and lost requests", "in each second", 60)
	highest := 0
	for _, p := range d.points {
		failed, lost := p.bad()
		highest = max(highest, failed+lost)
	}
	if d.each > 1 {
		c.Note = fmt.Sprintf("in every %d seconds", d.each)
	}
	top := roundUp(float64(highest), linearSteps)
	c.Rows = c.linear(top)
	var failures, losses path
	bar := func(to *path, x, width, from, until px) {
		to.point('M', x, from)
		to.point('L', x, until)
		to.point('L', x+width, until)
		to.point('L', x+width, from)
		to.WriteByte('Z')
	}
	for i, p := range d.points {
		failed, lost := p.bad()
		x, width := c.Hovers[i].X, max(c.Hovers[i].Width-0.5, 1)
		if lost > 0 {
			bar(&losses, x, width, c.Bottom, c.level(float64(lost)/top))
		}
		if failed > 0 {
			bar(&failures, x, width, c.level(float64(lost)/top), c.level(float64(lost+failed)/top))
		}
	}
	c.Shapes = []shape{{"area failed", failures.String()}, {"area lost", losses.String()}}
	return c
}

// bad adds up what went wrong.
func (p point) bad() (failed, lost int) {
	for _, s := range p.slots {
		failed += s.Failed
		lost += s.Lost
	}
	return failed, lost
}

// latency draws a curve for each slot, on a logarithmic scale: what is twice as slow is always the same step up.
// together says how the values of several seconds become one.
func (d drawing) latency(title, together string, of func(release.SlotSecond) float64) chart {
	note := "by slot, logarithmic"
	if d.each > 1 {
		note += ", " + together
	}
	c := d.frame(title, note, 110)
	low, high := math.Inf(1), 0.0
	for _, p := range d.points {
		for _, s := range p.slots {
			if v := of(s); v > 0 {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	if high == 0 {
		return c
	}
	bottom, top := roundDown(low), roundUp(high, logarithmicSteps)
	if top <= bottom {
		top = 10 * bottom
	}
	share := func(v float64) float64 { return math.Log(v/bottom) / math.Log(top/bottom) }
	steps := logarithmicSteps[1:]
	if top/bottom > 100 {
		steps = []float64{10} // more would not have room
	}
	c.Rows = []tick{{At: c.Bottom, Label: milliseconds(bottom)}}
	for v := roundUp(bottom*1.01, steps); v < top*0.99; v = roundUp(v*1.01, steps) {
		if at := c.level(share(v)); at-c.Top > 1.5*labelSpace && c.Bottom-at > 1.5*labelSpace {
			c.Rows = append(c.Rows, tick{At: at, Label: milliseconds(v)})
		}
	}
	c.Rows = append(c.Rows, tick{At: c.Top, Label: milliseconds(top)})
	for _, slot := range d.slots {
		if slot != "" {
			c.Shapes = append(c.Shapes, shape{Class: "line " + slotClass(d.report, slot), Path: d.curve(slot, of, func(v float64) px { return c.level(share(v)) })})
		}
	}
	return c
}

// curve draws a slot's values. Where it has none the curve is broken, and a value that stands alone is a short stroke.
func (d drawing) curve(slot string, of func(release.SlotSecond) float64, y func(float64) px) string {
	var line path
	drawn := false
	for i, p := range d.points {
		v := of(p.slots[slot])
		if v <= 0 {
			drawn = false
			continue
		}
		if drawn {
			line.point('L', d.middle(p), y(v))
			continue
		}
		line.point('M', d.middle(p), y(v))
		if i+1 == len(d.points) || of(d.points[i+1].slots[slot]) <= 0 {
			line.point('L', d.middle(p)+1, y(v))
		}
		drawn = true
	}
	return line.String()
}

// linear is a scale from 0 up.
func (c chart) linear(top float64) []tick {
	return []tick{
		{At: c.Bottom, Label: "0"},
		{At: (c.Top + c.Bottom) / 2, Label: figure(top / 2)},
		{At: c.Top, Label: figure(top)},
	}
}

// level is the height at a share of the plot.
func (c chart) level(share float64) px {
	return c.Bottom - px(min(max(share, 0), 1))*(c.Bottom-c.Top)
}

// PlotHeight is how high the plot is.
func (c chart) PlotHeight() px { return c.Bottom - c.Top }
