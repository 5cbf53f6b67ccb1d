package portal

import (
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim"
)

// How many rows one page of a list has, unless less is asked for, and at most.
const (
	pageDefault = 100
	pageMost    = 1000
)

// number reads a whole number from 1 from the query; 0: it is not given.
func number(c echo.Context, name string) (int64, error) {
	s := c.QueryParam(name)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, api.InField(name, sim.Errorf(sim.Invalid, "%s cannot be %.20q", name, s).WithHelp("give a whole number from 1"))
	}
	return n, nil
}

// limit reads how many rows are asked for.
func limit(c echo.Context, unlessGiven int) (int, error) {
	n, err := number(c, "limit")
	if n == 0 {
		n = int64(unlessGiven)
	}
	return int(min(n, pageMost)), err
}

// cut cuts rows, of which one more than limit was read, to limit. If there was one more it says so by a Link header (RFC
// 8288): the same address with the parameter cursor set to what of gives for the last row.
func cut[T any](c echo.Context, rows []T, limit int, cursor string, of func(T) string) []T {
	if len(rows) <= limit {
		return notNil(rows)
	}
	rows = rows[:limit]
	u := *c.Request().URL
	q := u.Query()
	q.Set(cursor, of(rows[limit-1]))
	u.RawQuery = q.Encode()
	c.Response().Header().Set("Link", "<"+u.RequestURI()+`>; rel="next"`)
	return rows
}
