package report

// ExplainRequest is a placeholder until the explanation lands.
type ExplainRequest struct{}

// Explanation is likewise.
type Explanation struct{}
