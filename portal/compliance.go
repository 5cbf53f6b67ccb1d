package portal

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/ui"
)

func (p *Portal) complianceRoutes(r *router) {
	r.api(http.MethodGet, "/environments/:env/compliance", needUser, p.getCompliance, op("compliance", "Tell how replicas stood to the licence over time, oldest first").gives(200, []api.ComplianceSample{}))
	r.api(http.MethodGet, "/environments/:env/compliance.csv", needUser, p.getComplianceCSV, op("complianceCSV", "Tell the same as CSV with a header").givesText("text/csv"))
	r.page(http.MethodGet, "/environments/:env/compliance", needUser, p.showCompliance)
}

// getCompliance handles GET /environments/{env}/compliance.
func (p *Portal) getCompliance(c echo.Context) error {
	out, err := p.store.Samples(c.Request().Context(), environmentOf(c))
	if err != nil {
		return fmt.Errorf("read compliance: %w", err)
	}
	return ok(c, notNil(out))
}

// getComplianceCSV handles GET /environments/{env}/compliance.csv. Its cells are times, numbers and fixed words: nothing that
// a spreadsheet would take for a formula.
func (p *Portal) getComplianceCSV(c echo.Context) error {
	samples, err := p.store.Samples(c.Request().Context(), environmentOf(c))
	if err != nil {
		return fmt.Errorf("read compliance: %w", err)
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	rows := [][]string{{"time", "licensed", "self_managed", "managed", "connected", "compliant"}}
	for _, s := range samples {
		rows = append(rows, []string{
			s.Time.Format(time.RFC3339Nano), strconv.Itoa(s.Licensed), strconv.Itoa(s.SelfManaged), strconv.Itoa(s.Managed), strconv.Itoa(s.Connected), strconv.FormatBool(s.Compliant),
		})
	}
	if err := w.WriteAll(rows); err != nil {
		return fmt.Errorf("write compliance as CSV: %w", err)
	}
	attach(c, "compliance-"+string(environmentOf(c))+".csv")
	return c.Blob(http.StatusOK, "text/csv", b.Bytes())
}

// maxShownSamples bounds how many samples the page lists; the CSV has all.
const maxShownSamples = 100

// showCompliance handles GET /environments/{env}/compliance as a page.
func (p *Portal) showCompliance(c echo.Context) error {
	f, err := p.environmentFrame(c, "Compliance", "")
	if err != nil {
		return err
	}
	samples, err := p.store.Samples(c.Request().Context(), environmentOf(c))
	if err != nil {
		return fmt.Errorf("read compliance: %w", err)
	}
	view := ui.CompliancePage{Frame: f, Older: len(samples) > maxShownSamples}
	samples = samples[max(0, len(samples)-maxShownSamples):]
	for _, s := range slices.Backward(samples) {
		view.Samples = append(view.Samples, ui.ComplianceSample(s))
	}
	view.Chart = complianceChart(samples, p.opts.Clock.Now())
	return page(c, http.StatusOK)(ui.Compliance(view))
}

// Size of the chart, in SVG units, and the room at its edges.
const (
	chartW, chartH = 900, 220
	chartPad       = 24
	chartAxis      = 44 // the room at its left, for the numbers
)

// complianceChart draws samples as steps until now. Without any it is empty.
func complianceChart(samples []api.ComplianceSample, now time.Time) ui.ComplianceChart {
	chart := ui.ComplianceChart{Width: chartW, Height: chartH}
	if len(samples) == 0 {
		return chart
	}
	from := samples[0].Time
	span := max(now.Sub(from), time.Second)
	most := 1
	for _, s := range samples {
		most = max(most, s.Licensed, s.SelfManaged+s.Managed, s.Connected)
	}
	x := func(t time.Time) int {
		return chartAxis + int(float64(chartW-chartAxis-chartPad)*min(float64(t.Sub(from))/float64(span), 1))
	}
	y := func(n int) int { return chartH - chartPad - (chartH-2*chartPad)*n/most }
	steps := func(value func(api.ComplianceSample) int) string {
		var b strings.Builder
		fmt.Fprintf(&b, "M%d %d", x(samples[0].Time), y(value(samples[0])))
		for _, s := range samples[1:] {
			fmt.Fprintf(&b, "H%dV%d", x(s.Time), y(value(s)))
		}
		fmt.Fprintf(&b, "H%d", chartW-chartPad)
		return b.String()
	}
	chart.Licensed = steps(func(s api.ComplianceSample) int { return s.Licensed })
	chart.Specified = steps(func(s api.ComplianceSample) int { return s.SelfManaged + s.Managed })
	chart.Connected = steps(func(s api.ComplianceSample) int { return s.Connected })
	chart.From, chart.To = from, now
	for _, n := range slices.Compact([]int{0, most / 2, most}) {
		chart.Grid = append(chart.Grid, ui.GridLine{Replicas: n, Y: y(n), From: chartAxis, To: chartW - chartPad})
	}
	last := samples[len(samples)-1]
	chart.Text = fmt.Sprintf("Now %d replicas are licensed, %d specified and %d connected.", last.Licensed, last.SelfManaged+last.Managed, last.Connected)
	return chart
}
