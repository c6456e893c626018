// Package diary is what the children of this suite leave for the test that judges them: in a folder, for each assignment, a
// file of delivered records in the form of stagetest.Delivery, and one with what else happened.
package diary
