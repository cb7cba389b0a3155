package durable

// WriteThen is the write of WriteFile and CreateFile, with their last step as a
// parameter.
var WriteThen = write
