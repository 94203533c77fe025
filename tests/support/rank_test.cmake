# Tests that run on several ranks. Without MPI they show up as disabled, so that nobody takes them for passed.

# How tests start ranks, followed by -n N PROGRAM; another MPI than Open MPI: -DSLUICE_MPIRUN="mpiexec;...".
if(NOT DEFINED SLUICE_MPIRUN)
  set(SLUICE_MPIRUN ${MPIEXEC_EXECUTABLE} --oversubscribe --allow-run-as-root --bind-to none
                    --mca mpi_yield_when_idle 1)
endif()
string(REPLACE ";" " " SLUICE_MPIRUN_TEXT "${SLUICE_MPIRUN}")

# add_rank_test(NAME RANKS n... SOURCES files... LINKS targets... [TIMEOUT seconds]): one GoogleTest program, one ctest
# entry for each number of ranks. Its tests get the ranks from world() of support/rank_main.hpp.
function(add_rank_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "RANKS;SOURCES;LINKS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  add_executable(test_${name} ${arg_SOURCES} ${PROJECT_SOURCE_DIR}/tests/support/rank_main.cpp)
  target_link_libraries(test_${name} PRIVATE sluice_flags sluice_test_support sluice_comm ${arg_LINKS} GTest::gtest
                                             GTest::gmock)
  foreach(ranks IN LISTS arg_RANKS)
    add_test(NAME ${name}.ranks_${ranks} COMMAND ${SLUICE_MPIRUN} -n ${ranks} $<TARGET_FILE:test_${name}>)
    set_tests_properties(${name}.ranks_${ranks} PROPERTIES TIMEOUT ${arg_TIMEOUT} PROCESSORS ${ranks})
    if(NOT SLUICE_MPI_FOUND)
      set_tests_properties(${name}.ranks_${ranks} PROPERTIES DISABLED TRUE)
    endif()
  endforeach()
endfunction()
