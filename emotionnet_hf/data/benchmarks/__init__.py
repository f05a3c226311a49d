"""The public emotion benchmarks, one reader each, in every layout that people have on disk."""
