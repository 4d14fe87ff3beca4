# Makes `find_package(cairn)` work where cairn is installed: libraries, public headers, and how their own dependencies are found.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/cairn)
install(TARGETS cairn_model cairn_persistence cairn_log cairn_store cairn_actors cairn_runtime cairn_testkit EXPORT cairn-targets)
if(TARGET cairn_maintenance)
  install(TARGETS cairn_maintenance EXPORT cairn-targets)
endif()
install(DIRECTORY model/include/ persistence/include/ actors/include/ runtime/include/ testkit/include/
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT cairn-targets NAMESPACE cairn:: DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/cairnConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES cmake/cairnConfig.cmake cmake/FindCAF.cmake cmake/FindMsgpack.cmake cmake/FindXXHash.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/cairnConfigVersion.cmake
        DESTINATION ${package_dir})
