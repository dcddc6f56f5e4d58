"""The domain: a live graph, a group of students that teach each other, exact predictions.

Pure: arrays in, arrays out. Clock, log and step budget are passed in.
"""
