// nvcc compiles the same file for test_cuda.
#include "cuda/primitives.cu"
