package rest

import "github.com/carillon-sip/carillon/internal/catalog"

func (q *request) runtimeOf(r *catalog.Record) []byte { return nil }
func (q *request) serviceRuntime() (answer, error)    { return answer{}, nil }
func (q *request) serviceStats() (answer, error)      { return answer{}, nil }
func (q *request) poolRuntime() (answer, error)       { return answer{}, nil }
func (q *request) engineRuntime() (answer, error)     { return answer{}, nil }
func (q *request) metrics() (answer, error)           { return answer{}, nil }
func (q *request) metricsCollection() (answer, error) { return answer{}, nil }
func (q *request) healthScore() (answer, error)       { return answer{}, nil }
func (q *request) inventory() (answer, error)         { return answer{}, nil }
func (q *request) explain() (answer, error)           { return answer{}, nil }
func (q *request) openAPI() (answer, error)           { return answer{}, nil }
