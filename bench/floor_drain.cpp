#include "floor_drain.hpp"

#include "floor_main.hpp"

int main(int argc, char** argv) { return floor_main<floor_drain>(argc, argv); }
