# Builds the fuzzers, a project of their own, and takes its tests over. Without a clang++ that can, they show as
# disabled.
include(ExternalProject)

set(SLUICE_FUZZ_SECONDS 20 CACHE STRING "How long each fuzzer runs as a test")
find_program(SLUICE_FUZZ_COMPILER NAMES clang++ clang++-14 DOC "clang++ with libFuzzer, for the fuzzers")

if(SLUICE_FUZZ_COMPILER AND NOT DEFINED SLUICE_FUZZ_COMPILER_WORKS)
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/nothing_fuzz.cpp
       "extern \"C\" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }\n")
  execute_process(COMMAND ${SLUICE_FUZZ_COMPILER} -fsanitize=fuzzer,address,undefined nothing_fuzz.cpp -o nothing_fuzz
                  WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR} RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
  if(NOT failed)
    set(SLUICE_FUZZ_COMPILER_WORKS ON CACHE INTERNAL "")
  endif()
endif()
if(NOT SLUICE_FUZZ_COMPILER_WORKS)
  message(STATUS "The fuzzers are left out: no clang++ with libFuzzer (on Debian: clang, libclang-rt-dev)")
  add_test(NAME fuzz COMMAND ${CMAKE_COMMAND} -E false)
  set_tests_properties(fuzz PROPERTIES DISABLED TRUE)
  return()
endif()

set(fuzz_build ${CMAKE_CURRENT_BINARY_DIR}/fuzz)
ExternalProject_Add(fuzzers
  SOURCE_DIR ${CMAKE_CURRENT_SOURCE_DIR}/fuzz
  BINARY_DIR ${fuzz_build}
  PREFIX ${fuzz_build}/steps
  CMAKE_ARGS -DCMAKE_CXX_COMPILER=${SLUICE_FUZZ_COMPILER} -DCMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER}
             -DSLUICE_FUZZ_SECONDS=${SLUICE_FUZZ_SECONDS}
  BUILD_ALWAYS ON  # it knows best what has changed
  INSTALL_COMMAND "")

file(WRITE ${fuzz_build}/if_built.cmake
     "if(EXISTS \"${fuzz_build}/CTestTestfile.cmake\")\n  include(\"${fuzz_build}/CTestTestfile.cmake\")\n"
     "else()\n  add_test(fuzz.not_built fuzz.not_built)\nendif()\n")
set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${fuzz_build}/if_built.cmake)
