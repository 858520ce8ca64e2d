package report

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Measures of the pictures in their own units; the page scales them.
const (
	width      = 1000
	plotLeft   = 52
	plotRight  = width - 8
	charWidth  = 6.5 // of the labels, at their size
	labelSpace = 10
)

// px is a place in a picture. It is written with one decimal place, which is a tenth of a pixel.
type px float64

func (p px) String() string { return strconv.FormatFloat(math.Round(float64(p)*10)/10, 'f', -1, 64) }

// x is the place of a moment.
func (s span) x(t time.Time) px {
	share := float64(t.Sub(s.from)) / float64(s.to.Sub(s.from))
	return px(plotLeft + min(max(share, 0), 1)*(plotRight-plotLeft))
}

// tick is a line of the grid with its label.
type tick struct {
	At    px
	Label string
}

// ticks are moments at round times, at most eight of them.
func (s span) ticks() []tick {
	every := time.Second
	for _, candidate := range []time.Duration{
		2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 6 * time.Hour, 24 * time.Hour,
	} {
		if s.to.Sub(s.from) <= 8*every {
			break
		}
		every = candidate
	}
	var all []tick
	for t := s.from.UTC().Truncate(every).Add(every); t.Before(s.to) && len(all) < 100; t = t.Add(every) {
		if x := s.x(t); x < plotRight-4*charWidth { // the label is as wide as that on both sides
			all = append(all, tick{At: x, Label: t.Format("15:04:05")})
		}
	}
	return all
}

// path writes an SVG path.
type path struct{ strings.Builder }

func (p *path) point(command byte, x, y px) {
	p.WriteByte(command)
	p.WriteString(x.String())
	p.WriteByte(' ')
	p.WriteString(y.String())
}

// The steps of scales: round numbers between a power of ten and the next.
var (
	linearSteps      = []float64{1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10}
	logarithmicSteps = []float64{1, 2, 5, 10}
)

// roundUp is the next higher step, and that of 1 for what is not above 0.
func roundUp(v float64, steps []float64) float64 {
	if v <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range steps {
		if v <= step*power {
			return step * power
		}
	}
	return 10 * power // what was rounded
}

// roundDown is the next lower step of a logarithmic scale.
func roundDown(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range slices.Backward(logarithmicSteps) {
		if v >= step*power {
			return step * power
		}
	}
	return power
}
